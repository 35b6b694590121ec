# The SentencePiece library, which the Marian pipeline and the verb `translate` need. Debian: libsentencepiece-dev. A cross
# build without it goes on without them.
find_library(NPUPORT_SENTENCEPIECE sentencepiece)
find_path(NPUPORT_SENTENCEPIECE_HEADERS sentencepiece_processor.h)
if(NOT NPUPORT_SENTENCEPIECE OR NOT NPUPORT_SENTENCEPIECE_HEADERS)
  if(NOT CMAKE_CROSSCOMPILING)
    message(FATAL_ERROR "SentencePiece is missing (Debian: libsentencepiece-dev)")
  endif()
  message(STATUS "No SentencePiece for ${CMAKE_SYSTEM_PROCESSOR}: built without the Marian pipeline and `npuport translate`")
  unset(NPUPORT_SENTENCEPIECE CACHE)
endif()

# Links it and tells who uses the target that the Marian pipeline is there.
function(npuport_use_sentencepiece target)
  if(NPUPORT_SENTENCEPIECE)
    target_include_directories(${target} SYSTEM PRIVATE ${NPUPORT_SENTENCEPIECE_HEADERS})
    target_link_libraries(${target} PRIVATE ${NPUPORT_SENTENCEPIECE})
    target_compile_definitions(${target} PUBLIC NPUPORT_TRANSLATE)
  endif()
endfunction()
