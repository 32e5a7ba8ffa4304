/** `--completions <shell>`: prints a script that completes verbs, flags, their choices, and paths. The script is complete in itself: no key press starts a process. */
import * as Completions from "effect/cli/Completions"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { OutputShape } from "./Output.ts"

/** Flags and arguments that are completed with paths, by name. They are text to the parser, which would make them absolute before anybody is shown them. */
const paths: Readonly<Record<string, "directory" | "file" | "either">> = {
  path: "directory",
  dir: "directory",
  a: "directory",
  b: "directory",
  file: "file",
  source: "either",
  destination: "either",
  directory: "directory",
  into: "directory",
  backup: "directory"
}

type Described = Completions.FlagDescriptor | Completions.ArgumentDescriptor

const withPath = <D extends Described>(described: D): D => {
  const pathType = Object.hasOwn(paths, described.name) ? paths[described.name] : undefined
  return pathType === undefined || described.type._tag !== "String" ? described : { ...described, type: { _tag: "Path", pathType } }
}

const help: Completions.FlagDescriptor = {
  name: "help",
  aliases: ["h"],
  description: "Show help information",
  type: { _tag: "Boolean" },
  negation: false
}

/** With what the descriptor of a command leaves out: paths, and the flag that every command answers. */
const complete = (command: Completions.CommandDescriptor): Completions.CommandDescriptor => ({
  ...command,
  flags: [...command.flags.map(withPath), help],
  arguments: command.arguments.map(withPath),
  subcommands: command.subcommands.map(complete)
})

/**
 * fish takes the first word that is no flag for the verb, also when it is a flag's value. This condition stands in its place: flags may come before the verb, and the values
 * of those that take one are passed over.
 */
const needsVerb = (command: Completions.CommandDescriptor): string => `function __lightning_needs_verb
    set -l value_follows 0
    for word in (commandline -poc)[2..-1]
        if test $value_follows -eq 1
            set value_follows 0
            continue
        end
        switch $word
            case ${command.flags.flatMap((flag) => (flag.type._tag === "Boolean" ? [] : [`--${flag.name}`])).join(" ")}
                set value_follows 1
            case '-*'
            case '*'
                return 1
        end
    end
    return 0
end`

/** fish is told to offer files for every path. */
const onlyDirectories = (script: string): string =>
  Object.entries(paths).reduce(
    (known, [name, type]) =>
      type === "directory"
        ? known.replaceAll(new RegExp(`( -l ${name} -d '(?:[^'\\\\]|\\\\.)*' -r) -F`, "g"), "$1 -f -a '(__fish_complete_directories)'")
        : known,
    script
  )

/** What the generator leaves to be done, and the other name of the bin file, which is completed by the same script. */
const finished: { readonly [S in Completions.Shell]: (script: string, command: Completions.CommandDescriptor) => string } = {
  bash: (script) => `${script}\ncomplete -F _lightning lightning-db`,
  zsh: (script) => script.replace("#compdef lightning", "$& lightning-db").replace("compdef _lightning lightning", "$& lightning-db"),
  fish: (script, command) =>
    `${needsVerb(command)}\n\n${onlyDirectories(script.replaceAll("__fish_use_subcommand", "__lightning_needs_verb"))}\ncomplete -c lightning-db -w lightning`,
  powershell: (script) => script
}

const scriptOf = (command: Completions.CommandDescriptor, shell: Completions.Shell): string =>
  finished[shell](Completions.generate("lightning", shell, complete(command)), command)
    // The generator advises to append to a file of the shell's, which a second time doubles the script.
    .replace(/^# Installation:\n(?:# {2,}.*\n)+/m, "# Installation: see docs/cli.md, Completions.\n")

/** The global flag. It writes where results go, so that a closed pipe is no failure and a full disk is one. */
export const completions = (output: OutputShape) =>
  GlobalFlag.Action<Option.Option<Completions.Shell>>({
    flag: Flag.Literals("completions", ["bash", "zsh", "fish"]).pipe(
      Flag.optional,
      Flag.withMetavar("<shell>"),
      Flag.withDescription("Print a script that completes commands in this shell")
    ),
    run: (shell, { command }) =>
      Option.isNone(shell) ? Effect.void : Effect.orDie(output.write(`${scriptOf(Completions.fromCommand(command), shell.value)}\n`))
  })
