import type { Mutant } from "../../scripts/mutants.ts"

const bits = "test/fault/damageBits.test.ts"
const large = "test/fault/damageLarge.test.ts"
const afterKill = "test/fault/damageAfterKill.test.ts"
const files = "test/fault/badInputFiles.test.ts"

/** Damage, files and blocks in wrong places: what only the tests that try every bit, every file and every moment find (invariant 5). */
export const badInputMutants: ReadonlyArray<Mutant> = [
  {
    name: "blame-what-the-damage-uncovers",
    file: "src/layers/recovery/readState.ts",
    find: "if (content?.torn !== true || ",
    replace: "if (content?.torn === true || ",
    test: { file: bits, name: "every bit > manifest" },
    invariant: "5: a damaged edit is blamed on a file that is rightly gone"
  },
  {
    name: "open-level-zero-beyond-bounds",
    file: "src/layers/reading/PointReader.ts",
    find: "if (slot.reader === undefined && isOutside(slot, keyspace, key, keyStart, keyEnd)) continue",
    replace: "",
    test: { file: large, name: "damage at size > a database" },
    invariant: "5: a damaged table takes keys with it that it does not hold"
  },
  {
    name: "fail-by-what-is-read-ahead",
    file: "src/layers/reading/RangeReader.ts",
    find: "if (!(cause instanceof Damage) || first === last) throw cause",
    replace: "throw cause",
    test: { file: large, name: "damage at size > \\d+ positions" },
    invariant: "5: a range fails by a damaged block behind its end"
  },
  {
    name: "forget-relied-drop",
    file: "src/layers/jobs/jobInputs.ts",
    find: "dropSequence > flushedThrough && dropSequence <= visible",
    replace: "dropSequence > flushedThrough && dropSequence < 0",
    test: { file: "test/regression/reliedDrops.test.ts", name: "a flipped bit in the last group" },
    invariant: "5: a drop is cut from the log after its files are gone, and the keyspace is there again, empty"
  },
  {
    name: "reserve-behind-the-log",
    file: "src/layers/recovery/recover.ts",
    find: "if (content !== undefined && lastSequence > old.sequencesThrough) {",
    replace: "if (content !== undefined && lastSequence < 0) {",
    test: { file: afterKill, name: "damage after a kill > a bit" },
    invariant: "5: sequences are given twice where the edit that reserved them is damaged"
  },
  {
    name: "remove-later-epoch",
    file: "src/layers/recovery/readState.ts",
    find: "if (committed === undefined) return epoch",
    replace: "if (committed !== -1) return epoch",
    test: { file: files, name: "bad files > files of another time" },
    invariant: "5: an older CURRENT removes the log that came after it"
  },
  {
    name: "wait-for-a-pipe",
    file: "src/layers/disk/nodeDisk.ts",
    find: "read: neverWaiting,",
    replace: 'read: "r",',
    test: { file: "test/fault/badInputPaths.test.ts", name: "what is no file > a pipe in place of each" },
    invariant: "5: an open hangs where something is no file"
  },
  {
    name: "skip-leaf-sum",
    file: "src/domain/table/TableReader.ts",
    find: "&& this.#crc32(stored) === fences.sum(leaf)) return stored",
    replace: ") return stored",
    test: { file: bits, name: "every bit > tables and value files" },
    invariant: "5: a damaged leaf is read as if it were right"
  },
  {
    name: "skip-padding-check",
    file: "src/domain/wal/scanSegment.ts",
    find: "if (sealed !== undefined && !isPadding(window, end, offset)) throw",
    replace: "if (sealed !== undefined && end < 0) throw",
    test: { file: bits, name: "every bit > log" },
    invariant: "5: bytes between the groups of a sealed segment are not looked at"
  }
]
