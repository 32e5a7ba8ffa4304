import type { Mutant } from "../../scripts/mutants.ts"

const matrix = "test/fault/fault-matrix.test.ts"
const everyRead = { file: matrix, name: "fault matrix > every read of the log" }

/** What is read wrong once must not be wrong for ever (invariants 1 and 5). */
export const realMutants: ReadonlyArray<Mutant> = [
  {
    name: "rewrite-unverified-groups",
    file: "src/layers/recovery/recover.ts",
    find: "        !verifyGroup(crc32, from.header.saltSum, from.path, record.offset, bytes, 0, header)\n",
    replace: "        bytes.length < 0\n",
    test: everyRead,
    invariant: "5: an open reads a group wrong, and writes it again with a sum that is right"
  },
  {
    name: "believe-the-second-reading",
    file: "src/layers/recovery/scanLog.ts",
    find: "      demandSame(path, judged[i]!.scan, scan, base, lastSum)\n",
    replace: "",
    test: everyRead,
    invariant: "1: a log that is read wrong once is cut for ever"
  },
  {
    name: "short-read-is-the-end",
    file: "src/layers/recovery/readState.ts",
    find: '    if (count < bytes.length) throw new IoFailure("read", path, "EIO", `read ${path}: ${count} of ${bytes.length} bytes`)\n    return bytes\n',
    replace: "    return bytes.subarray(0, count)\n",
    test: { file: matrix, name: "fault matrix > short reads of the manifest" },
    invariant: "5: a manifest that is read short is taken for an older one"
  },
  {
    name: "forget-used-file-ids",
    file: "src/layers/recovery/recover.ts",
    find: "Math.max(content?.fileId ?? 0, old.fileIdsUsed)",
    replace: "content?.fileId ?? 0",
    test: { file: "test/regression/fileIds.test.ts", name: "a reader that stayed open" },
    invariant: "5: a reader takes a new table for one it held"
  }
]
