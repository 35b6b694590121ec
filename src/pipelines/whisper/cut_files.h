// Sound files that end before they say they do, where the decoder would play them as if they were whole.
#pragma once

#include <string>

#include "base/result.h"

namespace npuport::whisper {

// The error `truncated` for
// - a WAV file whose data chunk is longer than the file (sizes that a recorder never filled in promise nothing);
// - an Ogg file that ends inside a page;
// - an MPEG audio file (MP3) that ends inside a frame, or before the number of frames in its Xing header.
// Everything else passes, unknown formats included: only what is certain is refused. Reads headers, not the sound.
Status check_not_cut(const std::string& path);

// The message of all of them: what there is, and what was promised.
Diag cut_short(const std::string& path, double has_seconds, double promised_seconds);

}  // namespace npuport::whisper
