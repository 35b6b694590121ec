"""Writes marian_oracle.json: what Hugging Face's transformers answers, for the tests of src/pipelines/marian.

    python make_marian_oracle.py VOCABULARY [--check]      (--check: compare with the file instead of writing it)

VOCABULARY: a folder with source.spm, target.spm, vocab.json and tokenizer_config.json (opus-mt English to Malagasy).
Needs the PyPI packages transformers (4.46.3), sentencepiece and PyTorch. Beam search is Hugging Face's own code on made-up
logits that depend on all tokens before them; tests/pipelines/marian_oracle_test.cpp makes the same ones.
"""

import json
import os
import sys

import torch
from transformers import MarianConfig, MarianMTModel, MarianTokenizer
from transformers.modeling_outputs import Seq2SeqLMOutput

TARGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "marian_oracle.json")
WORDS, EOS, PAD = 20, 0, 19

TEXTS = [
    "", " ", "Hello", "Hello world.", "  two   blanks  between\tand tabs ", "The house is green, isn't it?", "I saw 3 dogs & 12 cats!",
    "Crème brûlée at the café", "ﬁne print Ⅳ ½ ㎏", "full　width ＡＢＣ１２３", "中文字", "日本語 and English", "🙂 smile 🙂🙂", "e\u0301 decomposed",
    "zero\u200bwidth", "Ünïcödé ẞ", "…dots… and “quotes” — dashes", "a" * 300, "x" * 5 + "\u00a0" + "y", "the\u2581underline", "MIXED case WORDS",
    "https://example.org/a?b=c&d=e", "don't can't won't", "1,234,567.89", "line with trailing blank ", "Привет мир", "שלום", "ሰላም",
    "tokens < > >> << >>no code here<<", ">> <<", "soft\u00adhyphen", "\u202bright to left\u202c"]


def tokenizer_rows(folder):
    t = MarianTokenizer.from_pretrained(folder)
    rows = []
    for text in TEXTS:
        if t.language_code_re.search(text):
            continue  # Hugging Face takes anything between >> and << for a code, blanks too, and drops all but the first
        rows.append({"text": text, "ids": t(text)["input_ids"]})
    generator = torch.Generator().manual_seed(1)
    decoded = []
    for length in (0, 1, 2, 5, 9, 17, 40):
        for _ in range(4):
            ids = torch.randint(0, len(t), (length,), generator=generator).tolist()
            decoded.append({"ids": ids, "text": t.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)})
    decoded += [{"ids": r["ids"], "text": t.decode(r["ids"], skip_special_tokens=True, clean_up_tokenization_spaces=False)} for r in rows]
    return {"encode": rows, "decode": decoded}


def scores(prefix, seed, bias):
    """Logits behind `prefix`: thousandths that depend on every token of it; `bias` on the end token."""
    h = seed
    for t in prefix:
        h = (h * 1103515245 + 12345 + t * 2654435761) % 2**31
    row = []
    for v in range(WORDS):
        x = (h + v * 40503 + 1) * 48271 % (2**31 - 1)
        x = x * 48271 % (2**31 - 1)
        row.append((x % 6000) / 1000.0)
    row[EOS] += bias
    return row


class Scripted(MarianMTModel):
    def forward(self, input_ids=None, decoder_input_ids=None, encoder_outputs=None, **kwargs):
        rows = [[scores(ids, self.seed, self.bias)] for ids in decoder_input_ids.tolist()]
        return Seq2SeqLMOutput(logits=torch.tensor(rows))


def search_rows():
    config = MarianConfig(vocab_size=WORDS, d_model=4, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1, decoder_attention_heads=1,
                          encoder_ffn_dim=4, decoder_ffn_dim=4, max_position_embeddings=32, pad_token_id=PAD, eos_token_id=EOS,
                          decoder_start_token_id=PAD, forced_eos_token_id=None, use_cache=False)
    model = Scripted(config).eval()
    rows = []
    for k in range(60):
        model.seed, model.bias = 77 + 1000 * k, (-3.0, 0.5, 2.0, 3.5)[k % 4]
        beams, limit = (1, 2, 3, 4, 5)[k % 5], (3, 8, 14)[k % 3]
        with torch.no_grad():
            out = model.generate(input_ids=torch.tensor([[3, EOS]]), num_beams=beams, max_new_tokens=limit, do_sample=False,
                                 bad_words_ids=[[PAD]], length_penalty=1.0, early_stopping=False, use_cache=False,
                                 return_dict_in_generate=True, output_scores=True, synced_gpus=False)
        ids = out.sequences[0].tolist()[1:]
        ended = EOS in ids
        row = {"seed": model.seed, "bias": model.bias, "beams": beams, "limit": limit, "tokens": ids[:ids.index(EOS)] if ended else ids,
               "truncated": not ended}
        if beams > 1:
            row["score"] = round(float(out.sequences_scores[0]), 5)
        rows.append(row)
    return rows


def main():
    made = {"tokenizer": tokenizer_rows(sys.argv[1]), "search": {"words": WORDS, "eos": EOS, "pad": PAD, "rows": search_rows()}}
    text = json.dumps(made, ensure_ascii=True, indent=0, separators=(",", ":")) + "\n"
    if "--check" in sys.argv:
        with open(TARGET, encoding="utf-8") as f:
            sys.exit(0 if f.read() == text else "marian_oracle.json differs")
    with open(TARGET, "w", encoding="utf-8") as f:
        f.write(text)


main()
