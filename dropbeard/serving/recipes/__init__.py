"""Converters from the weights that packages ship to ONNX files, byte for byte the same on every machine."""
