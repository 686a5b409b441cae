"""Random changes of training images, inside the compiled step, each example with its own key.

`pipeline.make_augment` turns the config's list of (name, strength) pairs into one function; `draws.Draws` is where its
randomness comes from. `boxes` needs no JAX: processes that decode photographs draw the same boxes with NumPy. For their
sake this file imports nothing.
"""
