"""One model behind each serving system, by its public recipe: each module is a program that serves on a port."""
