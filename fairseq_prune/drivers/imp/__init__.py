"""IMP: rounds of full trainings, each of which starts from where the first one was early, without what was small.

Source: Frankle & Carbin, ICLR 2019 (arXiv:1803.03635); rewinding to a later point than the initialisation: Frankle et
al., ICML 2020 (arXiv:1912.05671).
"""
