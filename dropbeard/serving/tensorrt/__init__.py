"""The ``tensorrt`` backend: TensorRT 10 and 11 engines, run through pycuda.

``building`` makes a plan from an ONNX model, ``plans`` keeps it where only this machine's own plans are found,
``device`` is the one thread of a process that calls CUDA, ``runner`` has the slots in which batches overlap.
The two libraries are imported by ``libraries`` alone, which turns what can be wrong with them into one line.
"""
