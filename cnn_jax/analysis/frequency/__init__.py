"""What images hold at each frequency, and what a network makes of it.

A frequency is a number of waves per image: that of the radius r has r waves over the shorter side. In arrays of
frequencies [H, W] the frequency 0 stands at (H // 2, W // 2).
"""
