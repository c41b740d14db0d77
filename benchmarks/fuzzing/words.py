"""Words that a user could mistype, or mean badly."""

import string

TIMES = "4ep 500up 0up 0ep -4ep 1e3up 99999999999999999999up ep up 4 4epup".split()
FRACTIONS = "0.5 0 1 -1 2 1.0 1e-320 1e400 nan inf -inf 0.9999999999999999 50% .5. 0,5 1_0 0x10 \u0663 \u00bd".split()
UNITS = """weight row column filter channel neuron head hidden node stripe kernel pattern 2:4 4:2 0:0 2:0 n:m 1:1000000
    block:4x4 block:0x0 block:1000000x1 block:-1x4 block: 2:4:8 weight+node row+row""".split()
GROUPS = [
    "embed=*embed*;ffn=*fc1*,*fc2*",
    "a=0.5,b=0.6",
    "a=0.5;a=0.6",
    "=",
    ";",
    "a=;",
    "=*",
    "a==b",
    "encoder=*;decoder=*",
]
LISTS = """[0,0.75] [1-15:0.7] [9-1:0.5] [1-99999999999:0.5] [ [] [[]] [1.0,2.3] 1/255,8/255 1/0 linf=8/255;l2=0.5,1
    25,25 0:0.1,2:0.01 a:b cw=1000 cw=0 cw=-1 , {} (1,2)""".split()
PATTERNS = ["*", "[a-", "((((", "\\", "*" * 1000, "*.bias", "encoder.*", "?", "!", "**/*", "[!]"]
THRESHOLDS = "0.7std 0.001abs nanabs infstd -1std std abs 1e999abs".split()
KINDS = """magnitude random irregular filter stripe patdnn n:m l1 greg1 greg2 admm movement sr_ste skeleton hoyer_square
    group_hoyer_square l0 gate_decorators snip snip_it snap snap_it cnip_it grasp imp none once linear cubic exponential
    halving reselect global layer stage up nearest reference magnitude_l2 largest grid ncs warm all stage3 stage6
    accuracy perplexity both sa sg ea eg exact legacy signed squared min max rand index pr orth kaiming fgsm
    pgd""".split()
BROKEN = [
    "", " ", "\n", "a\nb", "\t", "\r0.5", "\x1b[31m", "\udcff", "\U0001f4a5", "9" * 5000, "a" * 10_000, "-", "--",
    "True", "None", "null", "???", "${checkpoint.save_dir}", "${", "it's", '"', "%s%n", "a b", "..", "/", "/dev/null",
    "~", "//", "/proc/self/mem", "[" * 5000, "{" * 5000,
]  # fmt: skip
NUMBERS = "0 1 -1 2 3 7 100 2147483648 99999999999999999999999 -0 +1 1e2 0.1 1e-9".split()
ALL = [TIMES, FRACTIONS, UNITS, GROUPS, LISTS, PATTERNS, THRESHOLDS, KINDS, BROKEN, NUMBERS]


def code(canary):
    """Words that make the file ``canary`` where a word is evaluated."""
    return [f"__import__('os').system('touch {canary}')", f"$(touch {canary})", f"open({str(canary)!r}, 'w')"]


MEANT = {  # parts of options' names, and what is meant for them
    "target": FRACTIONS + GROUPS + THRESHOLDS, "units": UNITS, "wg": UNITS, "stages": GROUPS, "stage_pr": LISTS,
    "lengths": LISTS, "eps": LISTS, "steps": LISTS + NUMBERS, "group": KINDS + GROUPS, "attacks": KINDS,
    **dict.fromkeys(("start", "end", "freeze", "every", "rewind"), TIMES + NUMBERS),
    **dict.fromkeys(("include", "skip", "only"), PATTERNS),
    **dict.fromkeys(("method", "importance", "scope", "schedule", "rounding", "search", "reinit"), KINDS),
    **dict.fromkeys(("batch", "updates", "iter", "seed", "workers", "rounds", "interval", "ticks"), NUMBERS),
    **dict.fromkeys(("left", "ratio", "rate", "drop", "lambda", "rho", "limit", "low", "high", "sigma"), FRACTIONS),
}  # fmt: skip


def word(rng, canary, name=""):
    """A word: one of those above, or two of them together, or one with a slip of the finger.

    Args:
        rng: ``random.Random``.
        canary: path of a file that it may try to make.
        name: of an option: most often it gets what is meant for it.
    """
    meant = [kind for part, kind in MEANT.items() if part in name]
    kind = meant[0] if meant and rng.random() < 0.7 else rng.choice([*ALL, code(canary)])
    drawn = rng.choice(kind)
    slip = rng.random()
    if slip < 0.1:
        return drawn + rng.choice(["", ",", ";", "=", ":"]) + rng.choice(rng.choice(ALL))
    if slip < 0.3 and drawn:
        place = rng.randrange(len(drawn))
        return drawn[:place] + rng.choice(["", *string.printable]) + drawn[place + 1 :]
    return drawn
