"""How many pairs a second the reranker reads on a device: what GPU hours are worked out from.

    python -m tests.corpus.pairs --device cuda [--backend bf16] [--reranker kb/builtin/reranker]

It needs PyTorch, safetensors, tokenizers and NumPy, and of a bundle the folder `reranker`. The
texts are composed of the tokenizer's words and fill a pair's budget, so that no pair of a real text
is longer. As in linking, some pairs have a mention in common, and texts are tokenised on the CPU,
which counts: `pairs_per_second` is of all of it, `model_alone` of ids that are ready. Prints one
JSON object; the highest of --repeat times counts.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from entlink.rerank.cross_encoder import CrossEncoder, pad_pairs

PAIRS_A_MENTION = 8
_WORDS = 60  # of each side and description: more than any budget

Contexts = Sequence[tuple[str, str, str]]
Entities = Sequence[tuple[str, str]]
Pairs = Sequence[tuple[int, int]]


def compose(
    encoder: CrossEncoder, n_pairs: int, *, seed: int = 0
) -> tuple[Contexts, Entities, Pairs]:
    """Mentions, entities, and at least so many pairs of them, that ``score`` takes."""
    chance = random.Random(seed)
    vocabulary = sorted(filter(str.isalpha, encoder.pairs.tokenizer.get_vocab()))

    def words(n: int) -> str:
        return " ".join(chance.choices(vocabulary, k=n))

    n_mentions = -(-n_pairs // PAIRS_A_MENTION)
    contexts = [(words(_WORDS), words(2), words(_WORDS)) for _ in range(n_mentions)]
    entities = [(words(2), words(_WORDS)) for _ in range(PAIRS_A_MENTION + 2 * n_mentions)]
    places = range(len(entities))
    pairs = [(m, e) for m in range(n_mentions) for e in chance.sample(places, PAIRS_A_MENTION)]
    return contexts, entities, pairs


def _rate(work: Callable[[], object], n_pairs: int, *, repeat: int) -> float:
    """Pairs a second, at best."""
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return n_pairs / min(seconds)


def measure(
    encoder: CrossEncoder, n_pairs: int, *, batch_size: int | None = None, repeat: int = 3
) -> dict[str, object]:
    """Pairs a second with tokenising, and of the model alone."""
    contexts, entities, pairs = compose(encoder, n_pairs)
    size = batch_size or encoder.batch_size
    few = pairs[:size]
    first = encoder.pairs.mentions([contexts[m] for m, _ in few])
    second = encoder.pairs.entities([entities[e] for _, e in few])
    batch = pad_pairs(first, second)
    n_batches = max(1, len(pairs) // len(few))

    @torch.inference_mode()
    def model_alone() -> None:
        for _ in range(n_batches):
            encoder.logits(*batch).tolist()  # the list waits until the device is done

    model_alone()  # loads what is loaded when first needed
    alone = _rate(model_alone, n_batches * len(few), repeat=repeat)
    whole = _rate(
        lambda: encoder.score(contexts, entities, pairs, batch_size=size),
        len(pairs),
        repeat=repeat,
    )
    return {
        "backend": encoder.backend,
        "n_pairs": len(pairs),
        "tokens_of_a_pair": batch[0].shape[1],
        "batch_size": size,
        "pairs_per_second": whole,
        "model_alone": alone,
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reranker", type=Path, default=Path("kb/builtin/reranker"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--backend", choices=("torch", "bf16"), default="torch")
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, help="another than entlink's for the device")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the CPU")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    encoder = CrossEncoder.load(arguments.reranker, bf16=arguments.backend == "bf16")
    encoder.model.to(arguments.device)
    is_gpu = torch.device(arguments.device).type == "cuda"
    report = {
        "device": torch.cuda.get_device_name(arguments.device) if is_gpu else arguments.device,
        "torch": torch.__version__,
    } | measure(encoder, arguments.pairs, batch_size=arguments.batch_size, repeat=arguments.repeat)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
