// The table of lessons: what porting models to NPUs taught people, as entries with an id that plans, reports and
// messages cite. Adding a lesson = adding a row here and citing it where it applies (a test holds both, and that
// docs/lessons.md says the same).
#pragma once

#include <span>
#include <string_view>

namespace npuport {

struct Diag;

struct Lesson {
  std::string_view id;         // stable, "NPU-" + theme + number: E embedding, V verify, T tools, S shapes, H host
  std::string_view title;      // one sentence, an order
  std::string_view situation;  // what one sees
  std::string_view cause;      // why
  std::string_view cure;       // what to do
  std::string_view source;     // where it was learnt
};

// clang-format off
inline constexpr Lesson kLessons[] = {
    {"NPU-E01", "Split the embedding table off",
     "A token embedding (GATHER over a table of tens of thousands of rows) stands at the front of the model.",
     "NPU compilers refuse GATHER, and the table would fill the device's memory for the sake of one row per token.",
     "The model takes the embedded rows as a float input; the host looks them up in the table, written beside the model "
     "as .npy. Prove the split with the lookup done by hand, as the device's program will.",
     "Whisper port report, lesson 1 (after the Helsinki port)"},
    {"NPU-V01", "Prove every stage before the next one",
     "The compiled model gives wrong text, and nobody knows which of five stages broke it.",
     "Errors were let through: a stage was believed because it ended without an error message.",
     "Compare each stage with PyTorch's own numbers at once and stop where one deviates; what could not be compared is "
     "UNVERIFIED, never passed.",
     "Whisper port report, lesson 2"},
    {"NPU-V02", "Hold layers to a tighter limit than logits",
     "The logits pass, and yet a longer text or another sample fails.",
     "Differences of single layers average out or are squashed by what follows; a limit made for logits does not see "
     "them.",
     "Layers at 1e-4 of their spread, logits at 1e-3: save inner values by `npuport trace --layers` and give them to "
     "`npuport verify --layers`.",
     "Helsinki port notes, traps"},
    {"NPU-T01", "Use the right tool, by its full path",
     "A converter or compiler is not found, is another version's, or refuses an option.",
     "The environment it lives in is not active, or the shell found a program of the same name.",
     "Name each tool: --tool NAME=PATH or NPUPORT_<NAME>; `npuport doctor` says what was found and which version. A "
     "Python tool wants the interpreter of its own environment.",
     "Whisper port report, lesson 3 and problem 3"},
    {"NPU-T02", "Come straight from PyTorch, not by way of ONNX",
     "A model on its way to TFLite comes as an ONNX file and holds operators that have no counterpart, or carries "
     "shape arithmetic nobody wrote.",
     "The ONNX exporter rewrote the model for another purpose; source lines and module names are lost on the way.",
     "Export TorchScript (`npuport trace`, or torch.jit.trace) and port that; ONNX is for targets that read ONNX.",
     "Whisper port report, problem 1"},
    {"NPU-T03", "A TFLite file with vendor operators is for the vendor's compiler",
     "A .tflite file does not load in Python: unresolved custom op MTKEXT_…",
     "The vendor's converter wrote operators that only its own compiler knows.",
     "That is no fault of the file. Compile it; for a proof on this machine use the file with builtin operators that "
     "npuport writes from the PyTorch model.",
     "Whisper port report, problem 2"},
    {"NPU-S01", "Fix every shape",
     "A dimension is free: batch, sequence length, picture size.",
     "NPU compilers plan memory ahead; a shape they cannot know is refused.",
     "Choose one length per input (30 s of sound = 3000 frames, 448 tokens), pad what is shorter, cut or window what is "
     "longer; --shape NAME=1x80x3000 or samples of that shape tell npuport.",
     "Whisper port report, lesson 4"},
    {"NPU-S02", "Stay within four dimensions",
     "A tensor has five dimensions or more, most often a cache [layers,batch,heads,length,width].",
     "NPU compilers take at most four.",
     "Merge what is always used together: heads and width into one axis, a batch of one away.",
     "Helsinki port notes, rewrites"},
    {"NPU-S03", "Add masks, do not fill with them",
     "Attention masks are made by tril, masked_fill or where.",
     "Booleans and selections are missing on NPUs; minus infinity does not survive float16.",
     "A mask is a term added before softmax: 0 or a large negative number, a constant where the length is fixed.",
     "MediaTek procedure, rewrites"},
    {"NPU-H01", "Add a position embedding once",
     "All values are off by the same table, largest in the first layer.",
     "The model adds the position embedding, and the host added it to the looked-up rows already; or each left it to "
     "the other.",
     "Decide who adds it. A split by npuport leaves it in the model: the host looks up and adds nothing.",
     "Helsinki port notes, traps"},
    {"NPU-H02", "Do not forget the bias of the output",
     "The logits are off by the same amounts at every position of every sample.",
     "A bias beside the last layer was not ported: Marian keeps final_logits_bias as a buffer of its own, outside of "
     "the projection.",
     "Add it in the model's forward, or on the host after the logits; it must be in the checkpoint's buffers.",
     "Helsinki port notes, traps"},
    {"NPU-H03", "Mask the padding, in the encoder and in cross attention",
     "Short inputs give wrong results, inputs of full length right ones.",
     "Inputs are padded to the fixed length, and attention sees the padding: the mask reaches no layer, or only the "
     "encoder's.",
     "Give the padding mask to the encoder's attention and to the decoder's attention over its output.",
     "Helsinki port notes, traps"},
    {"NPU-H04", "Join the cache at the right row",
     "The first step of a cached decoder is right, the second or a later one is wrong.",
     "The host writes the new key and value to another row than the mask opens, or in another order of dimensions.",
     "Row p of the cache after step p, and the mask opens rows 0 … p only then; compare with the decoder without a "
     "cache step by step.",
     "Helsinki port notes, list for the C++ side"},
    {"NPU-H05", "The host's numbers must be Python's numbers",
     "The model agrees when fed PyTorch's inputs, and fails behind the device's own preprocessing.",
     "Mean, scale, resampling, window or padding differ from what the training code did.",
     "Save what goes into the model (`--debug-outputs`), compare it with PyTorch's array before looking at the model.",
     "Helsinki port notes, list for the C++ side"},
};
// clang-format on

inline constexpr std::span<const Lesson> lessons() { return kLessons; }

// Null when there is none.
constexpr const Lesson* find_lesson(std::string_view id) {
  for (const Lesson& l : kLessons)
    if (l.id == id) return &l;
  return nullptr;
}

// The lesson a failure cites: the id its hint names, else its kind's; null when neither has one.
const Lesson* lesson_of(const Diag& d);

// For citations in the source: an id that does not exist fails to compile.
consteval const Lesson& lesson(std::string_view id) { return *find_lesson(id); }

}  // namespace npuport
