"""The fixtures' tiny random GPT-2, its tokenizer and its LoRA adapter."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

import corpus

VOCABULARY = 320
END_ID = VOCABULARY - 1


def config():
    """Returns the model's shape: small enough to commit, with every part of the real one."""
    return GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=96,
        n_embd=48,
        n_layer=3,
        n_head=3,
        n_inner=None,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        bos_token_id=END_ID,
        eos_token_id=END_ID,
    )


def standard_deviation(name):
    """Returns how much a tensor varies: enough that no part of the model is without effect.

    Tied embeddings make a model repeat its input; strong positions and blocks outweigh that.
    """
    if name.endswith("bias"):
        return 0.1
    if "ln_" in name or "wte" in name or "lora" in name:
        return 0.2
    if "c_proj" in name or "wpe" in name:
        return 0.4
    return 0.2


def randomise(named_tensors, seed):
    """Fills tensors in the order of their names; layer norms' weights vary about one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in sorted(named_tensors):
            tensor.normal_(0.0, standard_deviation(name), generator=generator)
            if "ln_" in name and name.endswith("weight"):
                tensor.add_(1.0)


def write_tokenizer(folder):
    """Trains a byte-level BPE whose last id is the end token, and writes it as transformers reads it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus.tokenizer_corpus(), trainer)
    tokenizer.add_special_tokens([corpus.END])
    assert tokenizer.get_vocab_size() == VOCABULARY and tokenizer.token_to_id(corpus.END) == END_ID
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    # The published GPT-2 lists its end token in vocab.json too.
    vocabulary = json.loads((folder / "vocab.json").read_text()) | {corpus.END: END_ID}
    write_json(folder / "vocab.json", dict(sorted(vocabulary.items(), key=lambda item: item[1])))
    special = {"bos_token": corpus.END, "eos_token": corpus.END, "unk_token": corpus.END}
    write_json(folder / "special_tokens_map.json", special)
    write_json(
        folder / "tokenizer_config.json",
        special
        | {
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": config().n_positions,
            "tokenizer_class": "GPT2Tokenizer",
        },
    )
    return tokenizer


def write_model(folder):
    """Writes the random model."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config())
    randomise(model.named_parameters(), seed=2)
    model.save_pretrained(folder)


def load_model(folder, dtype=torch.float32):
    """Opens a model folder as a user of transformers would, on plain attention."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def write_adapter(folder, model_folder):
    """Writes an adapter whose B is not zero, so that A has a gradient."""
    settings = LoraConfig(
        r=4,
        lora_alpha=8,
        lora_dropout=0.0,
        target_modules=["c_attn", "c_proj", "c_fc"],
        fan_in_fan_out=True,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(load_model(model_folder), settings)
    randomise([(n, p) for n, p in model.named_parameters() if p.requires_grad], seed=3)
    model.peft_config["default"].base_model_name_or_path = model_folder.name
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    # The targets are a set in memory: their order in the file would change from run to run.
    path = Path(folder, "adapter_config.json")
    settings = json.loads(path.read_text())
    settings["target_modules"].sort()
    write_json(path, settings)


def write_json(path, value):
    """Writes JSON that reads well in a diff."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
