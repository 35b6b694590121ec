// What every verb has in common: exit codes, help, one JSON document, quiet pipes.
#include "app/cli_support.h"

namespace npuport::testing {
namespace {

const std::vector<std::string> kVerbs = {"inspect", "trace",   "analyze", "convert", "verify",    "run",
                                         "port",    "targets", "lessons", "doctor",  "completion"};

TEST(CliUsage, VersionAndHelpGoToStdoutAndEndWithZero) {
  const Ran version = npuport_run({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out.rfind("npuport ", 0), 0u) << version.out;
  EXPECT_EQ(version.err, "");
  EXPECT_EQ(document(npuport_run({"--json", "--version"}))["version"].get<std::string>().rfind("npuport ", 0), 0u);
  EXPECT_NE(document(npuport_run({"run", "--json", "--help"}))["help"].get<std::string>().find("Examples"),
            std::string::npos);
  const Ran help = npuport_run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  for (const std::string& verb : kVerbs) EXPECT_NE(help.out.find("\n  " + verb), std::string::npos) << verb;
  EXPECT_NE(help.out.find("130"), std::string::npos) << "the exit codes are part of the help";
}

TEST(CliUsage, EveryVerbHasHelpWithExamples) {
  for (const std::string& verb : kVerbs) {
    if (verb == "trace") continue;  // the helper's own help: needs Python
    const Ran r = npuport_run({verb, "--help"});
    EXPECT_EQ(r.code, 0) << verb << r.err;
    EXPECT_NE(r.out.find("Example"), std::string::npos) << verb;
    EXPECT_NE(r.out.find("npuport "), std::string::npos) << verb;
  }
}

TEST(CliUsage, WrongLinesAreTwoWithANextStepAndNothingOnStdout) {
  const std::vector<std::vector<std::string>> lines = {{},
                                                       {"fly"},
                                                       {"run"},
                                                       {"run", "x.pt", "--nonsense"},
                                                       {"convert", "x.pt"},
                                                       {"convert", "x.pt", "-o", "y.jpg"},
                                                       {"port", "x.pt", "-o"},
                                                       {"--threads", "-3", "doctor"},
                                                       {"--threads", "many", "doctor"},
                                                       {"--tool", "python", "doctor"},
                                                       {"verify", "a", "b", "--gate", "beauty"},
                                                       {"targets", "no-such-chip"},
                                                       {"lessons", "NPU-X99"},
                                                       {"inspect", "no-such-file.pt"}};
  for (const auto& line : lines) {
    std::string text;
    for (const std::string& word : line) text += word + " ";
    const Ran r = npuport_run(line);
    EXPECT_EQ(r.code, 2) << text << r.err;
    EXPECT_EQ(r.out, "") << text;
    EXPECT_EQ(r.err.rfind("error[NP", 0), 0u) << text << r.err;
    EXPECT_NE(r.err.find("next"), std::string::npos) << text << r.err;
    auto with_json = line;
    with_json.insert(with_json.begin(), "--json");
    const Ran j = npuport_run(with_json);
    EXPECT_EQ(j.code, 2) << text;
    const Json document_found = document(j);
    EXPECT_TRUE(document_found.contains("error")) << text;
    EXPECT_FALSE(document_found["error"]["message"].get<std::string>().empty()) << text;
  }
}

TEST(CliUsage, JsonWorksBeforeAndAfterTheVerb) {
  for (const std::vector<std::string>& line :
       {std::vector<std::string>{"--json", "targets"}, {"targets", "--json"}, {"doctor", "--json"}}) {
    const Ran r = npuport_run(line);
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_TRUE(document(r).is_structured());
  }
}

TEST(CliUsage, TargetsKnowTheirPlatforms) {
  for (const auto& [name, arch, l1, mdla] :
       {std::tuple{"mt8371", "mdla5.3,edma3.6", "256", "1"}, std::tuple{"mt6899", "mdla5.5,edma3.6", "2048", "2"},
        std::tuple{"mt6991", "mdla5.5,edma3.6", "7168", "4"}}) {
    const Ran r = npuport_run({"targets", name, "--json"});
    ASSERT_EQ(r.code, 0) << r.err;
    const std::string text = document(r).dump();
    for (const std::string& part : {std::string(arch), std::string(l1), std::string(mdla)})
      EXPECT_NE(text.find("\"" + part + "\""), std::string::npos) << name << " " << part << "\n" << text;
  }
}

TEST(CliUsage, ToolsComeFromOptionsAndEnvironmentNeverFromPath) {
  TempFolder folder;
  put(folder.path("ncc-tflite"), "#!/bin/sh\ntouch \"$0.ran\"\n");
  std::filesystem::permissions(folder.path("ncc-tflite"), std::filesystem::perms::owner_all);
  const Ran r = npuport_run({"doctor"}, {{"PATH", folder.path() + ":/usr/bin:/bin"}, {"NPUPORT_NCC_TFLITE", ""}});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out.find(folder.path()), std::string::npos) << r.out;
  EXPECT_FALSE(std::filesystem::exists(folder.path("ncc-tflite.ran")));
}

// What a shell answers after `words`, by sourcing the script and calling its function.
std::string completed(const std::vector<std::string>& words) {
  std::string line = "source <(\"$0\" completion bash); COMP_WORDS=(npuport";
  for (const std::string& w : words) line += " '" + w + "'";
  line += "); COMP_CWORD=" + std::to_string(words.size()) + "; _npuport; echo \"${COMPREPLY[@]}\"";
  ProcessOptions options;
  options.argv = {"/bin/bash", "-c", line, binary()};
  const Result<ProcessResult> r = run_process(options);
  EXPECT_TRUE(r && r->ok() && r->err.empty()) << (r ? r->err : to_text(r.error()));
  return r ? r->out : "";
}

TEST(CliUsage, CompletionKnowsVerbsOptionsAndChoices) {
  EXPECT_EQ(completed({"conv"}), "convert\n");
  EXPECT_EQ(completed({"--threads", "2", "ver"}), "verify\n");
  EXPECT_EQ(completed({"convert", "m.pt", "--io"}), "--io-layout\n");
  EXPECT_EQ(completed({"convert", "m.pt", "--io-layout", ""}), "nchw nhwc\n");
  EXPECT_EQ(completed({"port", "m.pt", "--target", "mt8"}), "mt8371\n");
  EXPECT_EQ(completed({"port", "m.pt", "--samples", ""}), "\n") << "a file name: the shell's own completion";
  EXPECT_EQ(completed({"run", "m.pt", "--js"}), "--json\n") << "global options, too";
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const Ran r = npuport_run({"completion", shell});
    ASSERT_EQ(r.code, 0) << r.err;
    for (const std::string& verb : kVerbs) EXPECT_NE(r.out.find(verb), std::string::npos) << shell << " " << verb;
    EXPECT_NE(r.out.find("io-layout"), std::string::npos) << shell;
    EXPECT_NE(r.out.find("nchw nhwc"), std::string::npos) << shell;
  }
  EXPECT_EQ(npuport_run({"completion", "tcsh"}).code, 2);
}

TEST(CliUsage, AFullStdoutIsAnEnvironmentError) {
  ProcessOptions options;
  options.argv = {"/bin/sh", "-c", "exec \"$0\" targets --json > /dev/full", binary()};
  const Result<ProcessResult> r = run_process(options);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->exit_code, 3) << r->err;
  EXPECT_NE(r->err.find("error[NP0103]"), std::string::npos) << r->err;
}

}  // namespace
}  // namespace npuport::testing
