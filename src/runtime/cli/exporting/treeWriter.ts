/**
 * Writes files below a directory, and nowhere else: each directory on the way is made here or looked at, and a symbolic link is never followed. Files become durable in groups,
 * as one sync for each in turn would wait for the disk most of the time.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type { CliFailure } from "../CliFailure.ts"
import { attempt, codeOf, writeReason } from "./io.ts"
import { syncFiles } from "./syncFiles.ts"

/** A file that is not durable yet: where it is, and where it goes. */
interface Pending {
  readonly from: string
  readonly to: string
}

interface Frame {
  readonly name: string
  readonly path: string
  /** Names in it without their case, where the file system takes two of them for one and would replace the first by the second. */
  readonly folded: Set<string> | undefined
}

export interface TreeWriterOptions {
  /** The directory that files are written below. It exists. */
  readonly root: string
  /** Where files are written first, to replace those that are there. Undefined: nothing may be there. */
  readonly work: string | undefined
  readonly onError: (error: unknown) => CliFailure
}

/** Failures of one path, which leave the others to be written; everything else (a full disk) ends the export. */
const ownFailures = new Set(["ENAMETOOLONG", "EINVAL", "EILSEQ", "ENOTDIR", "EISDIR", "ENOTEMPTY", "EEXIST", "ELOOP"])

const sameName = "a file of another key, whose name this file system takes for the same, is there"

export class TreeWriter {
  private readonly options: TreeWriterOptions
  private readonly frames: Array<Frame> = []
  private readonly foldsCase: boolean
  private pending: Array<Pending> = []
  /** Directories whose names changed. */
  private readonly changed = new Set<string>()
  private files = 0
  /** Paths that a run before this one may have written, and this one has not. */
  private replay: Set<string> | undefined

  /** Throws what looking at the file system throws. */
  constructor(options: TreeWriterOptions, replays: boolean) {
    this.options = options
    this.replay = replays ? new Set() : undefined
    this.foldsCase = options.work !== undefined && foldsCase(options.work)
    this.frames.push(this.frame("", options.root))
  }

  /** What follows was never written before. */
  endReplay(): void {
    this.replay = undefined
  }

  /** Writes one file, durable with the next `flush`. The reason where this path cannot be; throws what ends the export. */
  write(relative: string, content: Uint8Array): string | undefined {
    try {
      const names = relative.split("/")
      const name = names.pop()!
      const refused = this.enter(names)
      if (refused !== undefined) return refused
      return this.file(name, content)
    } catch (error) {
      if (ownFailures.has(codeOf(error) ?? "")) return `its file cannot be written: ${writeReason(error)}`
      throw error
    }
  }

  /** Makes all files so far, and their names, durable. */
  get flush(): Effect.Effect<void, CliFailure> {
    return Effect.suspend(() => {
      const { onError, work } = this.options
      const { pending } = this
      const directories = [...this.changed]
      this.pending = []
      this.changed.clear()
      const written = pending.map(({ from }) => from)
      if (work === undefined) return syncFiles(written, directories, onError)
      // Content first: the name of a file that was there must not stand for one that is not there in full.
      return syncFiles(written, [], onError).pipe(
        Effect.andThen(attempt(() => pending.forEach(({ from, to }) => fs.renameSync(from, to)), onError)),
        Effect.andThen(syncFiles([], directories, onError))
      )
    }).pipe(Effect.uninterruptible)
  }

  private frame(name: string, directory: string): Frame {
    return { name, path: directory, folded: this.foldsCase ? new Set() : undefined }
  }

  /** Makes the directories on the way. Keys come in order, so that what is left is never come back to. */
  private enter(names: ReadonlyArray<string>): string | undefined {
    const { frames } = this
    let depth = 0
    while (depth < names.length && frames[depth + 1]?.name === names[depth]) depth++
    frames.length = depth + 1
    for (; depth < names.length; depth++) {
      const name = names[depth]!
      const parent = frames[depth]!
      const directory = path.join(parent.path, name)
      if (this.taken(parent, name)) return sameName
      const refused = this.directory(parent, directory)
      if (refused !== undefined) return refused
      frames.push(this.frame(name, directory))
    }
    return undefined
  }

  private directory(parent: Frame, directory: string): string | undefined {
    try {
      fs.mkdirSync(directory)
      this.changed.add(parent.path)
      return undefined
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error
    }
    const stat = fs.lstatSync(directory)
    if (stat.isSymbolicLink()) return `${directory} is a symbolic link, which is not followed`
    if (!stat.isDirectory()) return `${path.basename(directory)} is a file, so that nothing can lie below it`
    // Nobody but this export, or the one before it, has made directories here.
    return this.options.work === undefined && this.replay === undefined ? sameName : undefined
  }

  private file(name: string, content: Uint8Array): string | undefined {
    const parent = this.frames[this.frames.length - 1]!
    const target = path.join(parent.path, name)
    const { work } = this.options
    if (work === undefined) {
      this.create(target, content)
      this.pending.push({ from: target, to: target })
    } else {
      if (this.taken(parent, name)) return sameName
      if (fs.lstatSync(target, { throwIfNoEntry: false })?.isDirectory() === true) return "a directory of that name is there"
      const from = path.join(work, String(this.files++))
      this.create(from, content)
      this.pending.push({ from, to: target })
    }
    this.changed.add(parent.path)
    return undefined
  }

  private create(target: string, content: Uint8Array): void {
    const { O_CREAT, O_EXCL, O_WRONLY } = fs.constants
    let fd: number
    try {
      fd = fs.openSync(target, O_WRONLY | O_CREAT | O_EXCL, 0o666)
    } catch (error) {
      // Written by the run before this one, perhaps in part. One that this run has written itself stays, and is in the way.
      if (codeOf(error) !== "EEXIST" || this.replay === undefined || this.replay.has(folded(target))) throw error
      fs.unlinkSync(target)
      fd = fs.openSync(target, O_WRONLY | O_CREAT | O_EXCL, 0o666)
    }
    this.replay?.add(folded(target))
    try {
      for (let at = 0; at < content.length;) at += fs.writeSync(fd, content, at)
    } catch (error) {
      // A part of a file must not pass for the whole.
      fs.rmSync(target, { force: true })
      throw error
    } finally {
      fs.closeSync(fd)
    }
  }

  private taken(parent: Frame, name: string): boolean {
    const names = parent.folded
    if (names === undefined) return false
    const same = folded(name)
    if (names.has(same)) return true
    names.add(same)
    return false
  }
}

const folded = (name: string): string => name.normalize("NFC").toLowerCase()

/** Whether "A" and "a" are one file there. */
const foldsCase = (directory: string): boolean => {
  const probe = path.join(directory, "case")
  fs.writeFileSync(probe, "")
  const found = fs.existsSync(path.join(directory, "CASE"))
  fs.unlinkSync(probe)
  return found
}
