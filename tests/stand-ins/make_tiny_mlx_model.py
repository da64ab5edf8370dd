#!/usr/bin/env python3
"""Make a tiny Llama with random weights for mlx-lm, which answers in lower-case letters and never ends by itself.

usage: make_tiny_mlx_model.py FOLDER     with the Python that has mlx-lm
"""

import json
import sys
from pathlib import Path

import numpy
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

WIDTH, HEADS, LAYERS, HIDDEN = 64, 4, 2, 128
CHAT = "{% for m in messages %}<|start|>{{ m.role }} {{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|start|>{% endif %}"


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    specials = ["<|end|>", "<|start|>"]
    words = specials + sorted(pre_tokenizers.ByteLevel.alphabet())
    write_tokenizer(folder, words, specials)
    write_weights(folder, words)
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "intermediate_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "rms_norm_eps": 1e-5,
        "vocab_size": len(words),
        "max_position_embeddings": 1 << 17,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "eos_token_id": 0,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))


def write_tokenizer(folder, words, specials):
    tokenizer = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(specials)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "chat_template": CHAT}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_weights(folder, words):
    numbers = numpy.random.default_rng(7)

    def random(*shape):
        return numbers.normal(0, 0.3, shape).astype("float32")

    weights = {"model.embed_tokens.weight": random(len(words), WIDTH), "model.norm.weight": numpy.ones(WIDTH, "float32")}
    # Only letters have a chance: everything else is 0 for whatever the layers say.
    head = numpy.zeros((len(words), WIDTH), "float32")
    for letter in "abcdefghijklmnopqrstuvwxyz":
        head[words.index(letter)] = random(WIDTH) * 4
    weights["lm_head.weight"] = head
    for layer in range(LAYERS):
        name = f"model.layers.{layer}"
        for part in "qkvo":
            weights[f"{name}.self_attn.{part}_proj.weight"] = random(WIDTH, WIDTH)
        weights[f"{name}.mlp.gate_proj.weight"] = random(HIDDEN, WIDTH)
        weights[f"{name}.mlp.up_proj.weight"] = random(HIDDEN, WIDTH)
        weights[f"{name}.mlp.down_proj.weight"] = random(WIDTH, HIDDEN)
        weights[f"{name}.input_layernorm.weight"] = numpy.ones(WIDTH, "float32")
        weights[f"{name}.post_attention_layernorm.weight"] = numpy.ones(WIDTH, "float32")
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "mlx"})


main()
