/** The files of a directory tree in the byte order of their paths, which is the order of their keys: the same tree always gives the same sequence of writes. */
import { type Dirent, lstatSync, type Stats } from "node:fs"
import { readdir } from "node:fs/promises"
import * as path from "node:path"
import { ioReason } from "../explain.ts"

export interface TreeFile {
  readonly type: "file"
  /** Relative to the root, with forward slashes. */
  readonly name: string
  readonly path: string
  readonly bytes: number
  readonly modifiedMs: number
}

/** Something of the tree that is not imported, and why. */
export interface TreeSkip {
  readonly type: "skip"
  readonly name: string
  readonly reason: "symbolicLink" | "specialFile" | "extension" | "excluded"
}

/** Something of the tree that could not be read. */
export interface TreeProblem {
  readonly type: "problem"
  readonly name: string
  readonly path: string
  readonly reason: string
}

export interface TreeOptions {
  /** Only files whose name ends in one of these, with the dot: ".md", ".d.ts". Empty: all files. */
  readonly extensions: ReadonlyArray<string>
  /** Directories (real paths) that are left out: the database itself, when it lies inside the tree. */
  readonly exclude: ReadonlyArray<string>
  /** Leaves a directory out by its path relative to the root. */
  readonly skipDirectory?: ((name: string) => boolean) | undefined
}

interface Child {
  readonly dirent: Dirent
  readonly sortKey: Buffer
}

/**
 * Walks depth first. Symbolic links are not followed (they may lead out of the tree, or round in a circle). A directory sorts as its name with a slash, so that
 * "a-b" comes before "a/…", as it does among the keys.
 */
export async function* walkTree(root: string, options: TreeOptions): AsyncGenerator<TreeFile | TreeSkip | TreeProblem, void, undefined> {
  const walk = async function* (directory: string, prefix: string): AsyncGenerator<TreeFile | TreeSkip | TreeProblem, void, undefined> {
    let dirents: Array<Dirent>
    try {
      dirents = await readdir(directory, { withFileTypes: true })
    } catch (error) {
      yield { type: "problem", name: prefix === "" ? "." : prefix.slice(0, -1), path: directory, reason: ioReason(error) }
      return
    }
    const children = dirents.map((dirent): Child => ({ dirent, sortKey: Buffer.from(dirent.isDirectory() ? `${dirent.name}/` : dirent.name) }))
    children.sort((a, b) => Buffer.compare(a.sortKey, b.sortKey))
    for (const { dirent } of children) {
      const name = prefix + dirent.name
      const absolute = path.join(directory, dirent.name)
      if (dirent.isSymbolicLink()) yield { type: "skip", name, reason: "symbolicLink" }
      // Node replaces what is not UTF-8 in a name, so the file could not be opened and two files could get one key.
      else if (dirent.name.includes("\ufffd")) yield { type: "problem", name, path: absolute, reason: "the name is not UTF-8" }
      else if (dirent.isDirectory()) {
        if (options.exclude.includes(absolute) || options.skipDirectory?.(name) === true) yield { type: "skip", name, reason: "excluded" }
        else yield* walk(absolute, `${name}/`)
      } else if (!dirent.isFile()) yield { type: "skip", name, reason: "specialFile" }
      else if (options.extensions.length > 0 && !options.extensions.some((extension) => dirent.name.endsWith(extension))) {
        yield { type: "skip", name, reason: "extension" }
      } else {
        let stat: Stats
        try {
          // In line: through the thread pool it takes twenty times the CPU time, and the walk waits for it either way.
          stat = lstatSync(absolute)
        } catch (error) {
          yield { type: "problem", name, path: absolute, reason: ioReason(error) }
          continue
        }
        yield { type: "file", name, path: absolute, bytes: stat.size, modifiedMs: Math.trunc(stat.mtimeMs) }
      }
    }
  }
  yield* walk(root, "")
}
