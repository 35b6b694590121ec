"""Trains marian-nano, a Marian network of half a million weights that translates the sentences of a small grammar from
English to German: numbers, dates, times, and sentences with case, gender and word order of their own.

    python3 demo/marian-nano/train.py OUT          OUT/pytorch_model.bin, config.json, vocab.json, source.spm, target.spm,
                                                   sentences.txt (held out, with reference), accuracy.txt

Needs PyTorch and sentencepiece; no data: both languages are made here. A tenth of all sentences, chosen by a hash of the
English text, is never trained on; accuracy is the share of 1,000 of those whose greedy translation equals the reference.
"""

import argparse
import json
import os
import random
import sys
import time
import zlib

import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "python"))

from npuport_torch import marian_text, template  # noqa: E402

WIDTH, INNER, HEADS, LAYERS, PIECES = 96, 256, 4, 2, 300
# Singular, plural; nominative article decides gender: der, die, das.
NOUNS = [("dog", "dogs", "der", "Hund", "Hunde"), ("man", "men", "der", "Mann", "Männer"), ("table", "tables", "der", "Tisch", "Tische"),
         ("tree", "trees", "der", "Baum", "Bäume"), ("garden", "gardens", "der", "Garten", "Gärten"), ("cat", "cats", "die", "Katze", "Katzen"),
         ("woman", "women", "die", "Frau", "Frauen"), ("flower", "flowers", "die", "Blume", "Blumen"), ("street", "streets", "die", "Straße", "Straßen"),
         ("town", "towns", "die", "Stadt", "Städte"), ("house", "houses", "das", "Haus", "Häuser"), ("child", "children", "das", "Kind", "Kinder"),
         ("book", "books", "das", "Buch", "Bücher"), ("horse", "horses", "das", "Pferd", "Pferde"), ("picture", "pictures", "das", "Bild", "Bilder")]
ADJECTIVES = [("small", "klein"), ("big", "groß"), ("old", "alt"), ("young", "jung"), ("red", "rot"), ("green", "grün"), ("beautiful", "schön"),
              ("new", "neu"), ("quiet", "still"), ("white", "weiß")]
PERSONS = [("I", "ich", 0), ("we", "wir", 1), ("they", "sie", 1)]
VERBS = [("see", "sehe", "sehen", "gesehen"), ("look for", "suche", "suchen", "gesucht"), ("find", "finde", "finden", "gefunden"),
         ("buy", "kaufe", "kaufen", "gekauft"), ("paint", "male", "malen", "gemalt"), ("know", "kenne", "kennen", "gekannt")]
PARTICIPLES = {"see": "seen", "look for": "looked for", "find": "found", "buy": "bought", "paint": "painted", "know": "known"}
DAYS = [("Monday", "Montag"), ("Tuesday", "Dienstag"), ("Wednesday", "Mittwoch"), ("Thursday", "Donnerstag"), ("Friday", "Freitag"),
        ("Saturday", "Samstag"), ("Sunday", "Sonntag")]
MONTHS = [("January", "Januar"), ("February", "Februar"), ("March", "März"), ("April", "April"), ("May", "Mai"), ("June", "Juni"),
          ("July", "Juli"), ("August", "August"), ("September", "September"), ("October", "Oktober"), ("November", "November"),
          ("December", "Dezember")]
EN = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
      "nineteen").split()
DE = ("null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn "
      "neunzehn").split()
EN_TENS = " - twenty thirty forty fifty sixty seventy eighty ninety".split(" ")
DE_TENS = " - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split(" ")
EN_ORDINALS = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth", 12: "twelfth", 20: "twentieth", 30: "thirtieth"}
DE_ORDINALS = {1: "ersten", 3: "dritten", 7: "siebten", 8: "achten"}


def english(n):
    if n < 20:
        return EN[n]
    if n < 100:
        return EN_TENS[n // 10] + ("-" + EN[n % 10] if n % 10 else "")
    if n < 1000:
        return EN[n // 100] + " hundred" + (" and " + english(n % 100) if n % 100 else "")
    return english(n // 1000) + " thousand" + ((" and " if n % 1000 < 100 else " ") + english(n % 1000) if n % 1000 else "")


def german(n, last="eins"):
    """`last`: how a one at the end sounds ("eins" alone, "ein" before hundert, tausend and und)."""
    if n == 1:
        return last
    if n < 20:
        return DE[n]
    if n < 100:
        return (german(n % 10, "ein") + "und" if n % 10 else "") + DE_TENS[n // 10]
    if n < 1000:
        return german(n // 100, "ein") + "hundert" + (german(n % 100, last) if n % 100 else "")
    return german(n // 1000, "ein") + "tausend" + (german(n % 1000, last) if n % 1000 else "")


def ordinal(n):
    if n in EN_ORDINALS:
        return EN_ORDINALS[n], DE_ORDINALS.get(n, german(n) + ("ten" if n < 20 else "sten"))
    if n > 20:
        return EN_TENS[n // 10] + "-" + EN_ORDINALS.get(n % 10, EN[n % 10] + "th"), german(n) + "sten"
    return EN[n] + "th", DE_ORDINALS.get(n, german(n) + "ten")


def phrase(rng, case):
    """A noun with article and perhaps an adjective: (English, German in that case, is it plural?)"""
    one, many, gender, single, plural = rng.choice(NOUNS)
    en_adjective, de_adjective = rng.choice(ADJECTIVES) if rng.random() < 0.7 else ("", "")
    if de_adjective:
        en_adjective += " "
    kind = rng.choice(("the", "a", "number", "the many"))
    if kind == "number":
        n = rng.randint(2, 99)
        return f"{english(n)} {en_adjective}{many}", f"{german(n)} {de_adjective + 'e ' if de_adjective else ''}{plural}", True
    if kind == "the many":
        return f"the {en_adjective}{many}", f"die {de_adjective + 'en ' if de_adjective else ''}{plural}", True
    masculine_object = case == "accusative" and gender == "der"
    if kind == "the":
        article, ending = ("den", "en ") if masculine_object else (gender, "e ")
    else:
        article = "einen" if masculine_object else "eine" if gender == "die" else "ein"
        ending = "en " if masculine_object else {"der": "er ", "die": "e ", "das": "es "}[gender]
    english_article = "the" if kind == "the" else "an" if (en_adjective or one)[0] in "aeiou" else "a"
    return f"{english_article} {en_adjective}{one}", f"{article} {de_adjective + ending if de_adjective else ''}{single}", False


def date(rng):
    day, de_day = rng.choice(DAYS)
    month, de_month = rng.choice(MONTHS)
    nth, de_nth = ordinal(rng.randint(1, 31))
    if rng.random() < 0.5:
        return f"on {day}, the {nth} of {month}", f"am {de_day}, dem {de_nth} {de_month}"
    return f"on the {nth} of {month}", f"am {de_nth} {de_month}"


def clock(rng):
    hour = rng.randint(1, 12)
    if rng.random() < 0.3:  # German half hours name the hour to come.
        return f"at half past {english(hour)}", f"um halb {german(hour % 12 + 1)}"
    minutes, side = rng.choice((5, 10, 20)), rng.random() < 0.5
    return (f"at {english(minutes)} {'past' if side else 'to'} {english(hour)}",
            f"um {german(minutes)} {'nach' if side else 'vor'} {german(hour)}")


def upper(text):
    return text[0].upper() + text[1:]


def sentence(rng):
    """(English, German): one of five kinds."""
    kind = rng.randrange(5)
    if kind == 0:
        n = rng.randint(0, 9999)
        return english(n), german(n)
    if kind == 1:
        en, de, many = phrase(rng, "nominative")
        a, b = rng.sample(ADJECTIVES, 2)
        negated = rng.random() < 0.3
        tail, de_tail = (f" and {b[0]}", f" und {b[1]}") if rng.random() < 0.4 else ("", "")
        return (upper(f"{en} {'are' if many else 'is'} {'not ' if negated else ''}{a[0]}{tail}."),
                upper(f"{de} {'sind' if many else 'ist'} {'nicht ' if negated else ''}{a[1]}{de_tail}."))
    who, de_who, many = rng.choice(PERSONS)
    verb, one, several, participle = rng.choice(VERBS)
    en, de, _ = phrase(rng, "accusative")
    if kind == 2:
        return upper(f"{who} {verb} {en}."), upper(f"{de_who} {several if many else one} {de}.")
    when, de_when = (date if rng.random() < 0.6 else clock)(rng)
    if kind == 3:  # perfect tense: the German participle goes to the end
        return (upper(f"{who} have {PARTICIPLES[verb]} {en}."), upper(f"{de_who} {'haben' if many else 'habe'} {de} {participle}."))
    # future: the time comes first in German, then the verb, the infinitive at the end
    return upper(f"{who} will {verb} {en} {when}."), upper(f"{de_when} {'werden' if many else 'werde'} {de_who} {de} {several}.")


def held_out(text):
    return zlib.crc32(text.encode()) % 10 == 0


def make_vocabulary(out, pairs):
    """source.spm, target.spm (unigram, as Marian's) and vocab.json: the pieces of both, </s> and <unk> first, <pad> last."""
    import sentencepiece
    words = {"</s>": 0, "<unk>": 1}
    for k, side in enumerate(("source", "target")):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([p[k] for p in pairs]), model_prefix=os.path.join(out, side), vocab_size=PIECES, model_type="unigram",
            character_coverage=1.0, bos_id=-1, eos_id=0, unk_id=1, hard_vocab_limit=False, minloglevel=2, num_threads=1,
            add_dummy_prefix=True)
        os.replace(os.path.join(out, side + ".model"), os.path.join(out, side + ".spm"))
        os.remove(os.path.join(out, side + ".vocab"))
        model = sentencepiece.SentencePieceProcessor(model_file=os.path.join(out, side + ".spm"))
        for i in range(model.get_piece_size()):
            words.setdefault(model.id_to_piece(i), len(words))
    words["<pad>"] = len(words)
    with open(os.path.join(out, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump(words, f, indent=0, ensure_ascii=False)
        f.write("\n")
    return words


def make_config(words):
    pad = words["<pad>"]
    return {"model_type": "marian", "architectures": ["MarianMTModel"], "d_model": WIDTH, "encoder_layers": LAYERS, "decoder_layers": LAYERS,
            "encoder_attention_heads": HEADS, "decoder_attention_heads": HEADS, "encoder_ffn_dim": INNER, "decoder_ffn_dim": INNER,
            "vocab_size": len(words), "max_position_embeddings": 64, "max_length": 64, "activation_function": "swish", "scale_embedding": True,
            "static_position_embeddings": True, "normalize_before": False, "normalize_embedding": False, "add_final_layer_norm": False,
            "eos_token_id": 0, "pad_token_id": pad, "decoder_start_token_id": pad, "bad_words_ids": [[pad]], "num_beams": 1}


def batch_of(rows, pad, masked):
    """Padded ids [n, length] and their mask [n, 1, 1, length]."""
    length = max(map(len, rows))
    ids = torch.tensor([r + [pad] * (length - len(r)) for r in rows])
    mask = torch.tensor([[0.0] * len(r) + [masked] * (length - len(r)) for r in rows])[:, None, None]
    return ids, mask


def accuracy(net, marian, info, tokenizer, pairs, say=None):
    right = 0
    for en, de in pairs:
        got = tokenizer.decode(marian.greedy(net, tokenizer.encode(en), info))
        right += got == de
        if got != de and say:
            say(f"  wrong: {en} -> {got} ({de})")
    return right / len(pairs)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("--steps", type=int, default=2500)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--rate", type=float, default=3e-3)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    rng = random.Random(1)
    draw = lambda wanted: next(s for s in iter(lambda: sentence(rng), None) if held_out(s[0]) == wanted)
    words = make_vocabulary(a.out, [draw(False) for _ in range(20000)])
    config = make_config(words)
    with open(os.path.join(a.out, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
    tokenizer = marian_text.Tokenizer(a.out, 0)
    marian = template.find_template("marian").module
    net = marian.Marian(config)
    for name, t in net.named_parameters():
        if t.dim() > 1:
            torch.nn.init.normal_(t, std=WIDTH ** -0.5 if "shared" in name else t.shape[1] ** -0.5)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(t)
    # Published models have a trained bias of the logits; so has this one.
    bias = torch.nn.Parameter(net.final_logits_bias.clone())
    weights = [*net.parameters(), bias]
    optimizer = torch.optim.Adam(weights, lr=a.rate, betas=(0.9, 0.98))
    target_ids = lambda de: [tokenizer.ids[x] for x in tokenizer.target.encode(de, out_type=str)] + [0]
    start, total = time.process_time(), 0.0
    for step in range(1, a.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = a.rate * min(step / 200, 1.0) * max(0.01, 1 - step / a.steps)
        pairs = [draw(False) for _ in range(a.batch)]
        source, mask = batch_of([tokenizer.encode(en) for en, _ in pairs], words["<pad>"], marian.MASKED)
        wanted = [target_ids(de) for _, de in pairs]
        target, _ = batch_of([[words["<pad>"]] + w[:-1] for w in wanted], words["<pad>"], 0.0)
        labels, _ = batch_of(wanted, -100, 0.0)
        logits = net(source, mask, target) + bias
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        total += float(loss)
        if step % 250 == 0:
            print(f"step {step}: loss {total / 250:.4f}, {time.process_time() - start:.0f} s of CPU time", flush=True)
            total = 0.0
    state = {k: v.detach().clone() for k, v in net.state_dict().items()}
    state["final_logits_bias"] = bias.detach().clone()
    state = {k: v.half() for k, v in state.items()}
    torch.save(state, os.path.join(a.out, "pytorch_model.bin"))
    net.load_state_dict({k: v.float() for k, v in state.items()})  # measured as stored
    net.eval()
    info = marian.decode_info(net)
    pairs = [draw(True) for _ in range(1000)]
    share = accuracy(net, marian, info, tokenizer, pairs, print)
    with open(os.path.join(a.out, "accuracy.txt"), "w", encoding="utf-8") as f:
        f.write(f"{share:.3f} of {len(pairs)} held-out sentences translated exactly; {a.steps} steps, {time.process_time() - start:.0f} s of CPU time\n")
    with open(os.path.join(a.out, "sentences.txt"), "w", encoding="utf-8") as f:
        f.writelines(f"{en}\t{de}\n" for en, de in pairs[:12])
    print(f"exact {share:.3f}, {time.process_time() - start:.0f} s of CPU time")


if __name__ == "__main__":
    main()
