/** A directory for the files of each test of a file that asks for it, and what writes into it. */
import { afterEach, beforeEach } from "vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

export const scratchFiles = () => {
  let directory = ""
  beforeEach(() => {
    directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-files-")))
  })
  afterEach(() => fs.rmSync(directory, { recursive: true }))
  return {
    /** Of the test that runs. */
    here: () => directory,
    /** Writes a file below it, and answers with its whole path. */
    file: (name: string, content: string | Uint8Array): string => {
      const absolute = path.join(directory, name)
      fs.mkdirSync(path.dirname(absolute), { recursive: true })
      fs.writeFileSync(absolute, content)
      return absolute
    }
  }
}
