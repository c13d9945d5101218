# SPDX-License-Identifier: Apache-2.0

"""The network as the paper draws it, its options, and how networks run: precision and acceleration.

Inside this room imports run one way: ``qtseg -> encoder, bridge, decoder -> attention -> blocks``. The room imports
``common`` only. A part of the network is one file here, with its source and its test, and the option that puts it in is
a row of the table in ``qtseg.py``; CONTRIBUTING.md shows how to add an encoder.
"""
