#include "app/completion.h"

#include <fmt/format.h>

#include "base/diag_codes.h"
#include "base/text.h"

namespace npuport::app {
namespace {

using Verbs = std::vector<CompletionVerb>;
using Options = std::vector<CompletionOption>;

// Inside single quotes: bash and zsh end the quotes for one, fish takes a backslash.
std::string quoted(std::string_view s, bool fish = false) {
  std::string out = "'";
  for (const char c : s) {
    if (c == '\'') {
      out += fish ? "\\'" : "'\\''";
    } else if (fish && c == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::vector<std::string> all_names(const Options& options) {
  std::vector<std::string> out;
  for (const CompletionOption& o : options) out.insert(out.end(), o.names.begin(), o.names.end());
  return out;
}

// "--tool|-j": the options of a list that take a value.
std::string valued(const Options& options) {
  std::vector<std::string> names;
  for (const CompletionOption& o : options)
    if (o.takes_value) names.insert(names.end(), o.names.begin(), o.names.end());
  return join(names, "|");
}

std::string bash_values(std::string_view verb, const Options& options) {
  std::string out;
  for (const CompletionOption& o : options) {
    if (!o.takes_value) continue;
    std::vector<std::string> cases;
    for (const std::string& n : o.names) cases.push_back(fmt::format("{}:{}", verb, n));
    out += fmt::format("    {}) {}return ;;\n", join(cases, "|"),
                       o.choices.empty()
                           ? std::string()
                           : fmt::format("COMPREPLY=($(compgen -W {} -- \"$word\")); ", quoted(join(o.choices, " "))));
  }
  return out;
}

std::string bash(const Verbs& verbs, const Options& global) {
  std::vector<std::string> names;
  for (const CompletionVerb& v : verbs) names.push_back(v.name);
  std::string out =
      "# bash completion for npuport: source <(npuport completion bash)\n_npuport() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= i\n  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n    case ${COMP_WORDS[i]} in\n";
  if (const std::string skip = valued(global); !skip.empty()) out += "      " + skip + ") ((++i)) ;;\n";
  out += "      -*) ;;\n      *) verb=${COMP_WORDS[i]}; break ;;\n    esac\n  done\n  case $verb:$before in\n";
  for (const CompletionVerb& v : verbs) out += bash_values(v.name, v.options);
  out += bash_values("*", global);
  out += "  esac\n  local options=" + quoted(join(all_names(global), " ")) + "\n  case $verb in\n";
  out += "    '') options+=" + quoted(" " + join(names, " ")) + " ;;\n";
  for (const CompletionVerb& v : verbs)
    out += fmt::format("    {}) options+={} ;;\n", v.name, quoted(" " + join(all_names(v.options), " ")));
  return out +
         "  esac\n  if [[ -z $verb || $word == -* ]]; then\n    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n  "
         "fi\n"
         "}\ncomplete -o default -F _npuport npuport\n";
}

// A description inside an _arguments specification: brackets and colons have a meaning there.
std::string plain(std::string_view s) {
  std::string out;
  for (const char c : s) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string zsh_options(const Options& options) {
  std::string out;
  for (const CompletionOption& o : options)
    for (const std::string& n : o.names) {
      std::string spec = n + "[" + plain(o.description) + "]";
      if (o.takes_value) spec += o.choices.empty() ? ":value:_files" : ":value:(" + join(o.choices, " ") + ")";
      out += " \\\n        " + quoted("*" + spec);
    }
  return out;
}

std::string zsh(const Verbs& verbs, const Options& global) {
  std::string out =
      "#compdef npuport\n# zsh completion for npuport: npuport completion zsh > \"${fpath[1]}/_npuport\"\n"
      "_npuport() {\n  local state verbs=(\n";
  for (const CompletionVerb& v : verbs) out += "    " + quoted(v.name + ":" + plain(v.description)) + "\n";
  out += "  )\n  _arguments -C" + zsh_options(global) +
         " \\\n        '1:verb:->verb' \\\n        '*::argument:->rest'\n  case $state in\n"
         "    verb) _describe verb verbs ;;\n    rest)\n      case $words[1] in\n";
  for (const CompletionVerb& v : verbs)
    out += "        " + v.name + ") _arguments" + zsh_options(v.options) + zsh_options(global) +
           " \\\n        '*:file:_files' ;;\n";
  return out +
         "      esac ;;\n  esac\n}\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n  _npuport \"$@\"\nelse\n"
         "  compdef _npuport npuport\nfi\n";
}

std::string fish_options(const std::string& condition, const Options& options) {
  std::string out;
  for (const CompletionOption& o : options) {
    out += "complete -c npuport" + condition;
    for (const std::string& n : o.names) out += n.starts_with("--") ? " -l " + n.substr(2) : " -s " + n.substr(1);
    if (o.takes_value) out += o.choices.empty() ? " -r -F" : " -x -a " + quoted(join(o.choices, " "), true);
    out += " -d " + quoted(o.description, true) + "\n";
  }
  return out;
}

std::string fish(const Verbs& verbs, const Options& global) {
  std::string out =
      "# fish completion for npuport: npuport completion fish > ~/.config/fish/completions/npuport.fish\n";
  for (const CompletionVerb& v : verbs)
    out += "complete -c npuport -n __fish_use_subcommand -f -a " + v.name + " -d " + quoted(v.description, true) + "\n";
  out += fish_options("", global);
  for (const CompletionVerb& v : verbs)
    out += fish_options(" -n " + quoted("__fish_seen_subcommand_from " + v.name, true), v.options);
  return out;
}

}  // namespace

Result<std::string> completion_script(const std::string& shell, const Verbs& verbs, const Options& global) {
  if (shell == "bash") return bash(verbs, global);
  if (shell == "zsh") return zsh(verbs, global);
  if (shell == "fish") return fish(verbs, global);
  return Diag(diag::usage, "no completion for shell '" + shell + "'", "bash, zsh or fish");
}

}  // namespace npuport::app
