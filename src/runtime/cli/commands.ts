/** The command tree of `lightning`: flags, arguments, descriptions and examples. What the verbs do is in `verbs/`. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Flags from "./flags.ts"
import type { Shared } from "./shared.ts"
import { compact } from "./verbs/compact.ts"
import { count } from "./verbs/count.ts"
import { del } from "./verbs/delete.ts"
import { get } from "./verbs/get.ts"
import { importVerb } from "./verbs/import.ts"
import { put } from "./verbs/put.ts"
import { scan } from "./verbs/scan.ts"
import { stats } from "./verbs/stats.ts"
import { verify } from "./verbs/verify.ts"

const root = Command.make("lightning").pipe(Command.withSharedFlags({ path: Flags.path, keyspace: Flags.keyspace, json: Flags.json, hex: Flags.hex }))

/** A verb's database is open for the verb, closed (and so unlocked) before the process ends, also when it is interrupted. */
const run = <A, E, R>(verb: (shared: Shared) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(root, (shared) => Effect.scoped(verb(shared) as Effect.Effect<A, E, R | Scope.Scope>))

interface Example {
  readonly command: string
  readonly description: string
}

const examples = (...pairs: ReadonlyArray<readonly [command: string, description: string]>): ReadonlyArray<Example> =>
  pairs.map(([command, description]) => ({ command, description }))

const importCommand = Command.make(
  "import",
  {
    sources: Argument.String("source").pipe(
      Argument.withDescription("A directory (path -> content), a file of JSON lines, or - for standard input"),
      Argument.variadic({ min: 1 })
    ),
    keyField: Flag.String("key-field").pipe(
      Flag.withMetavar("<field>"),
      Flag.withDescription("JSON lines: this field is the key and the whole line the value; dots lead into objects"),
      Flag.optional
    ),
    ext: Flag.String("ext").pipe(
      Flag.withMetavar("<.md>"),
      Flag.withDescription("Directory: only files that end in this; may be given several times"),
      Flag.atLeast(0)
    ),
    keyPrefix: Flag.String("key-prefix").pipe(
      Flag.withMetavar("<text>"),
      Flag.withDefault(""),
      Flag.withDescription("Directory: put before each path to make the key")
    ),
    metadata: Flag.String("metadata").pipe(
      Flag.withMetavar("<keyspace>"),
      Flag.withDescription("Directory: store size, time and lines of each file in this keyspace, in the same write"),
      Flag.optional
    ),
    onError: Flag.Literals("on-error", ["stop", "skip"]).pipe(
      Flag.withDefault("stop"),
      Flag.withDescription("At a malformed line or an unreadable file: stop (default), or skip and count it")
    ),
    durability: Flags.durability
  },
  (flags) => run((shared) => importVerb(shared, { ...flags, extensions: flags.ext }))
).pipe(
  Command.withShortDescription("Store a directory tree or JSON lines"),
  Command.withDescription(
    'Stores a directory tree (path -> content) or JSON lines ({"key": …, "value": …}). Entries that exist are overwritten, so an import that was stopped is ' +
      "resumed by running it again. Symbolic links are not followed."
  ),
  Command.withExamples(
    examples(
      ["lightning import ./docs --ext .md --metadata meta", "Every .md file below ./docs, with its metadata in the keyspace meta"],
      ["lightning import orders.jsonl --key-field order.id", "One order a line: its id is the key, the line the value"],
      ["lightning scan --json | lightning import - --path ./copy", "Copy a database through a pipe"]
    )
  )
)

const getCommand = Command.make(
  "get",
  {
    key: Argument.String("key").pipe(Argument.withDescription("The key"))
  },
  (flags) => run((shared) => get(shared, flags))
).pipe(
  Command.withShortDescription("Print the value of a key"),
  Command.withDescription("Prints the value of a key, byte for byte. Exit code 3 where there is no such key."),
  Command.withExamples(
    examples(
      ["lightning get user/1", "Print a value"],
      ["lightning get logo.png > logo.png", "Write a value to a file"],
      ["lightning get --keyspace meta README.md --json", "From a keyspace, as JSON"]
    )
  )
)

const putCommand = Command.make(
  "put",
  {
    key: Argument.String("key").pipe(Argument.withDescription("The key")),
    value: Argument.String("value").pipe(Argument.withDescription("The value, or - for standard input"), Argument.optional),
    file: Flag.String("file").pipe(Flag.withMetavar("<file>"), Flag.withDescription("Take the value from this file"), Flag.optional),
    durability: Flags.durability
  },
  (flags) => run((shared) => put(shared, flags))
).pipe(
  Command.withShortDescription("Store one value"),
  Command.withDescription("Stores a value under a key, and creates the database and the keyspace where they do not exist."),
  Command.withExamples(
    examples(
      ['lightning put user/1 \'{"name":"Ada"}\'', "Store a value"],
      ["lightning put logo.png --file logo.png", "Store the content of a file"],
      ["date | lightning put now -", "Store what comes through a pipe"]
    )
  )
)

const deleteCommand = Command.make(
  "delete",
  {
    keys: Argument.String("key").pipe(Argument.withDescription("The keys to delete"), Argument.variadic({ min: 1 })),
    durability: Flags.durability
  },
  (flags) => run((shared) => del(shared, flags))
).pipe(
  Command.withShortDescription("Delete keys"),
  Command.withDescription("Deletes keys in one atomic write. A key that is not there is reported, and is no failure."),
  Command.withExamples(
    examples(["lightning delete user/1", "Delete one key"], ["lightning delete user/1 user/2 --keyspace people", "Delete two, both or neither"])
  )
)

const scanCommand = Command.make(
  "scan",
  {
    ...Flags.bounds,
    reverse: Flag.Boolean("reverse").pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription("From the last key to the first")),
    limit: Flag.Int("limit").pipe(Flag.withMetavar("<n>"), Flag.withDescription("At most this many entries"), Flag.optional),
    keysOnly: Flag.Boolean("keys-only").pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription("Without the values"))
  },
  (flags) => run((shared) => scan(shared, flags))
).pipe(
  Command.withShortDescription("List entries in key order"),
  Command.withDescription(
    "Lists entries in key order, as of one moment: key, tab, value on one line each, with control characters escaped. With --json one object a line, which import reads."
  ),
  Command.withExamples(
    examples(
      ["lightning scan --prefix user/ --limit 10", "The first ten keys that begin with user/"],
      ["lightning scan --lt user/2 --reverse --limit 1", "The last entry before user/2"],
      ["lightning scan --json | jq -r .key", "Keys for a script"]
    )
  )
)

const countCommand = Command.make("count", Flags.bounds, (flags) => run((shared) => count(shared, flags))).pipe(
  Command.withShortDescription("Count entries"),
  Command.withDescription("Counts the entries within the bounds exactly, as of one moment."),
  Command.withExamples(
    examples(["lightning count", "All entries of the default keyspace"], ["lightning count --prefix user/", "Those that begin with user/"])
  )
)

const statsCommand = Command.make("stats", {}, () => run(stats)).pipe(
  Command.withShortDescription("Show what the database consists of"),
  Command.withDescription("Shows sequences, space by part, levels, keyspaces and what opening found."),
  Command.withExamples(examples(["lightning stats", "Of ./data"], ["lightning stats --path ./orders --json", "All figures for a program"]))
)

const verifyCommand = Command.make("verify", {}, () => run(verify)).pipe(
  Command.withShortDescription("Check every block of every file"),
  Command.withDescription("Reads the whole database and checks every checksum. Exit code 5, with file and offset, where bytes are damaged."),
  Command.withExamples(examples(["lightning verify", "Check ./data"], ["lightning verify --path ./backup --json", "Check a copy, for a program"]))
)

const compactCommand = Command.make(
  "compact",
  {
    gte: Flags.bounds.gte,
    lt: Flags.bounds.lt
  },
  (flags) => run((shared) => compact(shared, flags))
).pipe(
  Command.withShortDescription("Give space of deleted entries back"),
  Command.withDescription(
    "Rewrites the database, or a range of it, to its lowest level, which gives the space of deleted and overwritten entries back at once. It happens by itself in time."
  ),
  Command.withExamples(examples(["lightning compact", "All of ./data"], ["lightning compact --gte log/2024 --lt log/2025", "One range"]))
)

export const lightning = root.pipe(
  Command.withDescription(
    "Looks into a Lightning DB database and changes it. get, scan, count, stats and verify only read, and work beside a process that writes.\n\n" +
      "  Exit codes: 0 done, 1 failed, 2 wrong command line, 3 key or keyspace not found, 4 locked by another process, 5 damaged bytes, 130 interrupted."
  ),
  Command.withSubcommands([
    importCommand,
    getCommand,
    putCommand,
    deleteCommand,
    scanCommand,
    countCommand,
    statsCommand,
    verifyCommand,
    compactCommand
  ]),
  Command.withExamples(
    examples(
      ["lightning import ./docs", "Store a directory in ./data"],
      ["lightning scan --prefix guide/ --limit 5", "Look at some of it"],
      ["lightning get guide/start.md", "Print one value"],
      ["lightning stats --path ./elsewhere", "Of another database"]
    )
  )
)
