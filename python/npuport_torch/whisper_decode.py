"""Greedy decoding of Whisper token ids and the facts a runtime needs to repeat it.

Same ids as openai-whisper's `decode(language=..., without_timestamps=True)` with its other options at their defaults:
temperature 0, no beam, suppress_tokens="-1", suppress_blank=True.
"""

import torch

# Ids of the symbols, brackets and musical notes that suppress_tokens="-1" forbids (`Tokenizer.non_speech_tokens` of
# openai-whisper): GPT-2 byte-pair ids of the multilingual and the English-only vocabulary.
NON_SPEECH_MULTILINGUAL = (
    1, 2, 7, 8, 9, 10, 14, 25, 26, 27, 28, 29, 31, 58, 59, 60, 61, 62, 63, 90, 91, 92, 93, 359, 503, 522, 542, 873, 893,
    902, 918, 922, 931, 1350, 1853, 1982, 2460, 2627, 3246, 3253, 3268, 3536, 3846, 3961, 4183, 4667, 6585, 6647, 7273,
    9061, 9383, 10428, 10929, 11938, 12033, 12331, 12562, 13793, 14157, 14635, 15265, 15618, 16553, 16604, 18362, 18956,
    20075, 21675, 22520, 26130, 26161, 26435, 28279, 29464, 31650, 32302, 32470, 36865, 42863, 47425, 49870, 50254)
NON_SPEECH_ENGLISH = (
    1, 2, 7, 8, 9, 10, 14, 25, 26, 27, 28, 29, 31, 58, 59, 60, 61, 62, 63, 90, 91, 92, 93, 357, 366, 438, 532, 685, 705,
    796, 930, 1058, 1220, 1267, 1279, 1303, 1343, 1377, 1391, 1635, 1782, 1875, 2162, 2361, 2488, 3467, 4008, 4211, 4600,
    4808, 5299, 5855, 6329, 7203, 9609, 9959, 10563, 10786, 11420, 11709, 11907, 13163, 13697, 13700, 14808, 15306, 16410,
    16791, 17992, 19203, 19510, 20724, 22305, 22935, 27007, 30109, 30420, 33409, 34949, 40283, 40493, 40549, 47282, 49146)
LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml cy "
    "sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo "
    "uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue").split()


# OpenAI's defaults of transcribe(): when a result is decoded again warmer, when it counts as silence, what the next window
# is told of the last.
FALLBACK = {
    "temperatures": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
    "compression_ratio_threshold": 2.4,
    "logprob_threshold": -1.0,
    "no_speech_threshold": 0.6,
    "condition_on_previous_text": True,
    "max_initial_timestamp": 1.0,
}


def decode_info(dims, language="en", timestamps=False):
    """What the decoding loop needs, as written to whisper_decode.json. `dims`: OpenAI's ModelDimensions as a dict."""
    n_vocab = dims["n_vocab"]
    multilingual = n_vocab >= 51865
    languages = n_vocab - 51765 - int(multilingual)  # 99, or 100 from large-v3 on
    eot = 50257 if multilingual else 50256
    sot = eot + 1
    translate = sot + 1 + languages
    transcribe, sot_lm, sot_prev, no_speech, no_timestamps = (translate + k for k in range(1, 6))
    initial = [sot, sot + 1 + LANGUAGES.index(language), transcribe, no_timestamps] if multilingual else [sot, no_timestamps]
    non_speech = NON_SPEECH_MULTILINGUAL if multilingual else NON_SPEECH_ENGLISH
    return {
        "version": 1,
        "kind": "whisper_greedy",
        **FALLBACK,
        "timestamps": bool(timestamps),
        "language": language,
        "initial_tokens": initial,
        "eot": eot,
        "pad_token": eot,
        "suppress_tokens": sorted({*non_speech, translate, transcribe, sot, sot_prev, sot_lm, no_speech}),
        "suppress_first": [220, eot],
        "max_tokens": dims["n_text_ctx"],           # length of the decoder's token input
        "max_new_tokens": dims["n_text_ctx"] // 2,  # the loop ends after this many
        "dims": dict(dims),
        "audio": {"sample_rate": 16000, "n_fft": 400, "hop": 160, "frames": 2 * dims["n_audio_ctx"]},
    }


@torch.no_grad()
def greedy(decoder, audio, info, fixed_length=False):
    """Token ids after the initial ones, without the end token.

    decoder(tokens int64 [1, n], audio) -> logits [1, n, n_vocab]. `fixed_length` pads the tokens to max_tokens, as the
    ported decoder of one fixed shape needs; causality makes the ids equal.
    """
    tokens = list(info["initial_tokens"])
    start = len(tokens)
    suppress = torch.tensor(info["suppress_tokens"])
    for step in range(info["max_new_tokens"]):
        padded = tokens + [info["pad_token"]] * (info["max_tokens"] - len(tokens)) if fixed_length else tokens
        logits = decoder(torch.tensor([padded]), audio)[0, len(tokens) - 1].float().clone()
        logits[suppress] = float("-inf")
        if step == 0:
            logits[torch.tensor(info["suppress_first"])] = float("-inf")
        best = int(logits.argmax())
        if best == info["eot"]:
            break
        tokens.append(best)
        if len(tokens) >= info["max_tokens"]:
            break
    return tokens[start:]
