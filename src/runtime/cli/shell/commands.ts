/** The commands of the shell, in the order of `.help`. */
import { atCommand } from "./commands/at.ts"
import { keyspacesCommand, useCommand } from "./commands/keyspaces.ts"
import { countCommand, getCommand, historyCommand, scanCommand } from "./commands/reading.ts"
import { checkpointCommand, compactCommand, flushCommand, refreshCommand, statsCommand, verifyCommand } from "./commands/upkeep.ts"
import { deleteCommand, putCommand } from "./commands/writing.ts"
import type { ShellCommand } from "./ShellCommand.ts"

export const commands: ReadonlyArray<ShellCommand> = [
  getCommand,
  putCommand,
  deleteCommand,
  scanCommand,
  countCommand,
  keyspacesCommand,
  useCommand,
  historyCommand,
  atCommand,
  statsCommand,
  verifyCommand,
  flushCommand,
  compactCommand,
  checkpointCommand,
  refreshCommand
]

export const commandNamed = (name: string): ShellCommand | undefined => commands.find((command) => command.name === name)
