"""Engines: what turns a batch of inputs into output bytes of the task schema, and the queue before it.

Manifests name the models (:mod:`manifest`), recipes make their artefacts from installed packages
(:mod:`recipes`), the catalogue keeps them in a cache (:mod:`catalogue`). An image is decoded and resized as
its model asks (:mod:`images`), batched (:mod:`batching`) and run by a backend (:mod:`engine`, :mod:`onnx`,
:mod:`synthetic`).
"""
