"""SiPO: grouped magnitude pruning whose rates are searched under an accuracy limit.

Source: Li, Yang, Qian, Hong, Tang, "Stage-Wise Magnitude-Based Pruning for Recurrent Neural Networks",
IEEE TNNLS 35(2), 2022.
"""
