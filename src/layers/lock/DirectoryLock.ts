/**
 * The lock of a database directory on a real file system: `LOCK`, an empty SQLite file held open with an exclusive transaction. SQLite is used for
 * its file locks alone: Node has no other call for them, and the operating system frees them with the process, however it ends.
 *
 * What it refuses: a second process, a second open in this process, a worker thread, a link to the directory. What it cannot refuse: POSIX frees a
 * process's locks on a file as soon as *any* descriptor of it is closed, so a program that copies its own live directory loses the lock without a sign;
 * and whoever removes `LOCK` lets a second one be made. `stillHeld` sees the latter. For the same reason this module never opens `LOCK` itself.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { DatabaseSync } from "node:sqlite"
import { IoFailure } from "../../domain/failures.ts"
import { type DirectoryLock, LockFailure } from "../../services/DirectoryLock.ts"
import { toIoFailure } from "../disk/nodeDisk.ts"
import { withoutSqliteWarning } from "./withoutSqliteWarning.ts"

export const lockName = "LOCK"
/** Pid, host and start time of the holder, one a line: read for error messages only. */
export const lockOwnerName = "LOCK.owner"

/** For a note that is a pipe, and would keep whoever opens it waiting for ever. Windows has neither. */
const neverWaiting = fs.constants.O_NONBLOCK ?? 0

/** SQLite's primary result codes that mean "somebody else has it". */
const sqliteBusy = 5
const sqliteLocked = 6

/** Those that have one meaning in the system's words. */
const systemCodes: ReadonlyMap<number, string> = new Map([
  [10, "EIO"],
  [13, "ENOSPC"]
])

/** Locks this thread holds, by the identity of their file. Also keeps the handles from being collected, which would free the lock. */
const held = new Map<string, DatabaseSync>()

type Sqlite = typeof import("node:sqlite")

/** Device and inode of what is at `file` now, as text because both are 64 bits wide; `undefined` where that cannot be seen. */
const identityOf = (file: string): string | undefined => {
  try {
    const { dev, ino } = fs.statSync(file, { bigint: true })
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}

const ownerOf = (directory: string): number | undefined => {
  try {
    const note = fs.openSync(path.join(directory, lockOwnerName), fs.constants.O_RDONLY | neverWaiting)
    try {
      const pid = Number.parseInt(fs.readFileSync(note, "utf8"), 10)
      return Number.isSafeInteger(pid) ? pid : undefined
    } finally {
      fs.closeSync(note)
    }
  } catch {
    return undefined
  }
}

/** The note is for messages only: a directory where it cannot be written is locked all the same. */
const writeOwner = (directory: string): void => {
  const startedAt = new Date(performance.timeOrigin).toISOString()
  try {
    const flags = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_TRUNC | neverWaiting
    const note = fs.openSync(path.join(directory, lockOwnerName), flags)
    try {
      fs.writeFileSync(note, `${process.pid}\n${os.hostname()}\n${startedAt}\n`)
    } finally {
      fs.closeSync(note)
    }
  } catch {
    // See above.
  }
}

const removeOwner = (directory: string): void => {
  try {
    fs.unlinkSync(path.join(directory, lockOwnerName))
  } catch {
    // Likewise.
  }
}

const sqliteCode = (cause: unknown): number | undefined => {
  if (!(cause instanceof Error) || !("errcode" in cause) || typeof cause.errcode !== "number") return undefined
  return cause.errcode & 0xff
}

/** SQLite keeps the system's own reason to itself: found by asking the system for what the lock needs, without opening `LOCK`. */
const systemCode = (code: number, directory: string, file: string): string => {
  try {
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK)
    if (fs.existsSync(file)) fs.accessSync(file, fs.constants.R_OK | fs.constants.W_OK)
    // Takes a descriptor: EMFILE where there is none.
    fs.readdirSync(directory)
  } catch (cause) {
    return toIoFailure("lock", file, cause).code
  }
  return systemCodes.get(code) ?? `SQLITE_${code}`
}

const lockFile = (sqlite: Sqlite, directory: string, file: string): DatabaseSync => {
  let database: DatabaseSync | undefined
  try {
    database = new sqlite.DatabaseSync(file, { timeout: 0 })
    // The journal in memory, or SQLite would keep one more file in the directory.
    database.exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE")
    return database
  } catch (cause) {
    database?.close()
    const code = sqliteCode(cause)
    if (code === sqliteBusy || code === sqliteLocked) throw new LockFailure(directory, ownerOf(directory))
    throw new IoFailure(
      "lock",
      file,
      code === undefined ? toIoFailure("lock", file, cause).code : systemCode(code, directory, file),
      `lock ${file}: ${String(cause)}`
    )
  }
}

/** How often `LOCK` may be made or replaced while we take it before we give up. */
const attemptsMax = 3

/** Takes `directory`, which must exist. Throws `LockFailure` while somebody has it, `IoFailure` when that cannot be found out. */
export const acquire = (directory: string): DirectoryLock => {
  const file = path.join(directory, lockName)
  const sqlite = withoutSqliteWarning(() => process.getBuiltinModule("node:sqlite"))
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const before = identityOf(file)
    if (before !== undefined && held.has(before)) throw new LockFailure(directory, process.pid)
    const database = lockFile(sqlite, directory, file)
    // The lock is on whatever file SQLite opened. Only a file that was at the path before and after is the one everybody else will try; one that
    // SQLite has just made was not there before, so it is let go and taken again.
    if (before === undefined || identityOf(file) !== before) {
      database.close()
      continue
    }
    held.set(before, database)
    writeOwner(directory)
    return lockOf(directory, file, before, database)
  }
  throw new IoFailure("lock", file, "EAGAIN", `lock ${file}: the file was replaced each time it had been locked`)
}

const lockOf = (directory: string, file: string, identity: string, database: DatabaseSync): DirectoryLock => {
  let released = false
  return {
    directory,
    stillHeld: () => !released && identityOf(file) === identity,
    release: () => {
      if (released) return
      // Before the lock is free: afterwards the note could be the next holder's.
      if (identityOf(file) === identity) removeOwner(directory)
      released = true
      held.delete(identity)
      database.close()
    }
  }
}
