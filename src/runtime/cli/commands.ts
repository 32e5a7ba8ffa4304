/** The command tree of `lightning`. The definition of a verb (flags, arguments, descriptions, examples) is in `commands/`, what it does in `verbs/`. */
import * as Command from "effect/cli/Command"
import { examples, root } from "./command.ts"
import { benchCommand } from "./commands/bench.ts"
import { checkpointCommand } from "./commands/checkpoint.ts"
import { compactCommand } from "./commands/compact.ts"
import { countCommand } from "./commands/count.ts"
import { deleteCommand } from "./commands/delete.ts"
import { diffCommand } from "./commands/diff.ts"
import { exportCommand } from "./commands/export.ts"
import { getCommand } from "./commands/get.ts"
import { historyCommand } from "./commands/history.ts"
import { importCommand } from "./commands/import.ts"
import { inspectCommand } from "./commands/inspect.ts"
import { keyspacesCommand } from "./commands/keyspaces.ts"
import { pointsCommand } from "./commands/points.ts"
import { putCommand } from "./commands/put.ts"
import { restoreCommand } from "./commands/restore.ts"
import { rollbackCommand } from "./commands/rollback.ts"
import { repairCommand } from "./commands/repair.ts"
import { scanCommand } from "./commands/scan.ts"
import { shellCommand } from "./commands/shell.ts"
import { statsCommand } from "./commands/stats.ts"
import { verifyCommand } from "./commands/verify.ts"

export const lightning = root.pipe(
  Command.withDescription(
    "Looks into a Lightning DB database, changes it, and moves data in and out. Verbs that only read (get, scan, count, history, export, keyspaces, stats, verify, inspect, diff, checkpoint) " +
      "change nothing and work beside a process that writes.\n\n" +
      "  Exit codes: 0 done, 1 failed, 2 wrong command line, 3 key or keyspace not found, 4 locked by another process, 5 damaged bytes, 130 interrupted."
  ),
  Command.withSubcommands([
    importCommand,
    exportCommand,
    getCommand,
    putCommand,
    deleteCommand,
    scanCommand,
    countCommand,
    historyCommand,
    keyspacesCommand,
    statsCommand,
    verifyCommand,
    repairCommand,
    inspectCommand,
    diffCommand,
    compactCommand,
    checkpointCommand,
    pointsCommand,
    restoreCommand,
    rollbackCommand,
    benchCommand,
    shellCommand
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
