# SPDX-License-Identifier: Apache-2.0

"""The network of the paper, its options, and how networks run: number format and acceleration.

Inside this room, imports run one way: ``qtseg -> encoder, bridge, decoder -> attention -> blocks``. The room imports
``common`` only. Each part of the network is one file here, which cites its source and has a test. The option that puts
it in is a row of the table in ``qtseg.py``. CONTRIBUTING.md shows how to add an encoder.
"""
