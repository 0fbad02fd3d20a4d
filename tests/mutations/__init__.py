# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Breaks prepared clusters at random and compares what validate says with the truth.

The truth is a model of its own: it shares nothing with the collection but the vendor's guide.
"""
