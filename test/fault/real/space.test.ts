/** File systems that are full, read-only, or may not be written any more, under a running database in a process of its own. */
import { chmodSync, chownSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect } from "vitest"
import { asNobody, isRoot, mounts, nobody, ownMounts, realTest } from "../../support/real/means.ts"
import type { Remote } from "../../support/real/startRemote.ts"
import { withRemote } from "../../support/real/startRemote.ts"

const withRoot = async <A>(use: (root: string) => Promise<A>): Promise<A> => {
  const root = mkdtempSync(join(tmpdir(), "lightning-real-"))
  try {
    return await use(root)
  } finally {
    chmodSync(root, 0o700)
    rmSync(root, { recursive: true, force: true })
  }
}

/** A small database: everything it does, it does soon. */
const small = {
  memtableBytes: 262_144,
  walSegmentBytes: 262_144,
  tableBytes: 131_072,
  levelBytesBase: 524_288,
  cacheBytes: 1 << 20,
  compactionWorkers: 0
} as const

/** Before the process: mounts of its own, with a file system of so many bytes at `root`. It goes with the process. */
const onTmpfs = (root: string, bytes: number): ReadonlyArray<string> => [
  ...ownMounts,
  "sh",
  "-c",
  `mount -t tmpfs -o size=${bytes} none "$0" && exec "$@"`,
  root
]

/** Asks until the answer is as wanted, or too much time has passed. */
const until = async <A>(ask: () => Promise<A>, wanted: (answer: A) => boolean, ms = 20_000): Promise<A> => {
  const deadline = performance.now() + ms
  for (;;) {
    const answer = await ask()
    if (wanted(answer) || performance.now() > deadline) return answer
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

describe("real file systems", () => {
  realTest("a full tmpfs: writes are refused by name, reads go on, and where there is room again writes go on without reopening", mounts(), () =>
    withRoot((root) =>
      withRemote({ before: onTmpfs(root, 16 << 20) }, async (remote) => {
        const path = join(root, "db")
        const rows = { prefix: "k", from: 0, bytes: 4000, random: true } as const
        await remote.open({ path, ...small })
        await remote.run("dd", "if=/dev/zero", `of=${join(root, "ballast")}`, "bs=1M", "count=4", "status=none")
        // Acknowledged one by one, until there is no room.
        const filled = await remote.fill({ ...rows, count: 10_000 })
        expect(["DiskFull", "WriteStalled"]).toContain(filled.stopped?.tag)
        expect(filled.stopped?.message).toMatch(/ENOSPC|space/)
        expect(filled.written).toBeGreaterThan(500)
        const again = await remote.fill({ ...rows, from: 20_000, count: 1 })
        // By the log, or by tables that find no room for what the memtables hold.
        expect(["DiskFull", "WriteStalled"]).toContain(again.stopped?.tag)
        expect((await remote.health()).state).not.toBe("healthy")
        expect(await remote.check({ ...rows, count: filled.written })).toEqual({ wrong: [], missing: 0, failed: [] })

        await remote.run("rm", join(root, "ballast"))
        const resumed = await until(
          () => remote.fill({ ...rows, from: 30_000, count: 100 }),
          (answer) => answer.stopped === undefined
        )
        expect(resumed).toEqual({ written: 100 })
        expect(
          (
            await until(
              () => remote.health(),
              ({ state }) => state === "healthy"
            )
          ).state
        ).toBe("healthy")
        const before = await remote.check({ ...rows, count: filled.written })
        expect(before).toEqual({ wrong: [], missing: 0, failed: [] })
        await remote.close()
        await remote.open({ path, ...small })
        expect(await remote.check({ ...rows, count: filled.written })).toEqual({ wrong: [], missing: 0, failed: [] })
        expect(await remote.check({ ...rows, from: 30_000, count: 100 })).toEqual({ wrong: [], missing: 0, failed: [] })
        await remote.demand({ op: "verify" })
      })
    )
  )

  realTest("a full tmpfs: deletes and a compaction make the room in which writes go on", mounts(), () =>
    withRoot((root) =>
      withRemote({ before: onTmpfs(root, 16 << 20) }, async (remote) => {
        const path = join(root, "db")
        const rows = { prefix: "k", from: 0, bytes: 4000, random: true } as const
        await remote.open({ path, ...small })
        const kept = await remote.fill({ ...rows, prefix: "kept", count: 200 })
        expect(kept).toEqual({ written: 200 })
        const filled = await remote.fill({ ...rows, count: 10_000 })
        expect(filled.stopped).toBeDefined()
        // A delete has room kept for it.
        await remote.demand({ op: "deletePrefix", prefix: "k0" })
        const compacted = await until(
          () => remote.ask({ op: "compact" }),
          (answer) => "ok" in answer
        )
        expect(compacted).toHaveProperty("ok")
        const resumed = await until(
          () => remote.fill({ ...rows, prefix: "new", count: 200 }),
          (answer) => answer.stopped === undefined
        )
        expect(resumed).toEqual({ written: 200 })
        await remote.close()
        await remote.open({ path, ...small })
        expect(await remote.check({ ...rows, prefix: "kept", count: 200 })).toEqual({ wrong: [], missing: 0, failed: [] })
        expect(await remote.check({ ...rows, prefix: "new", count: 200 })).toEqual({ wrong: [], missing: 0, failed: [] })
        expect((await remote.check({ ...rows, count: filled.written })).missing).toBe(filled.written)
      })
    )
  )

  realTest("a read-only file system: a writable open is refused by name, one for reading is not; writable again, it goes on", mounts(), () =>
    withRoot((root) =>
      withRemote({ before: onTmpfs(root, 32 << 20) }, async (remote) => {
        const path = join(root, "db")
        const rows = { prefix: "k", from: 0, bytes: 300 } as const
        await remote.open({ path, ...small })
        expect(await remote.fill({ ...rows, count: 3000, together: 50 })).toEqual({ written: 3000 })
        // With files open for writing it cannot be made read-only: what a running database makes of EROFS is seen where system calls fail.
        await remote.close()
        await remote.run("mount", "-o", "remount,ro", root)
        const refused = await remote.refused({ op: "open", options: { path, ...small } })
        expect([refused.tag, refused.fields["code"]]).toEqual(["PermissionDenied", "EROFS"])
        expect(String(refused.fields["path"])).toContain(path)
        await remote.open({ path, readOnly: true })
        expect(await remote.check({ ...rows, count: 3000 })).toEqual({ wrong: [], missing: 0, failed: [] })
        await remote.close()
        await remote.run("mount", "-o", "remount,rw", root)
        await remote.open({ path, ...small })
        expect(await remote.fill({ ...rows, from: 3000, count: 10 })).toEqual({ written: 10 })
        expect(await remote.check({ ...rows, count: 3010 })).toEqual({ wrong: [], missing: 0, failed: [] })
      })
    )
  )

  const changing = (name: string, run: (remote: Remote, path: string) => Promise<void>): void => {
    realTest(name, nobody(), () =>
      withRoot(async (root) => {
        if (isRoot) chownSync(root, 65_534, 65_534)
        await withRemote({ before: asNobody }, (remote) => run(remote, join(root, "db")))
      })
    )
  }

  changing(
    "permissions taken from a directory under a running database: reads and what is in the log go on, flushes say so, and go on when they are back",
    async (remote, path) => {
      const rows = { prefix: "k", from: 0, bytes: 1000, random: true } as const
      await remote.open({ path, ...small })
      expect(await remote.fill({ ...rows, count: 100 })).toEqual({ written: 100 })
      chmodSync(path, 0o500)
      try {
        const flushed = await remote.refused({ op: "flush" })
        expect([flushed.tag, flushed.fields["code"]]).toEqual(["PermissionDenied", "EACCES"])
        expect(String(flushed.fields["path"])).toContain(path)
        const more = await remote.fill({ ...rows, from: 100, count: 2000, until: { ms: 2000 } })
        if (more.stopped !== undefined) expect(["PermissionDenied", "WriteStalled"]).toContain(more.stopped.tag)
        expect((await remote.health()).state).not.toBe("healthy")
        expect(await remote.check({ ...rows, count: 100 + more.written })).toEqual({ wrong: [], missing: 0, failed: [] })
        chmodSync(path, 0o700)
        const healthy = await until(
          () => remote.health(),
          ({ state }) => state === "healthy"
        )
        expect(healthy).toMatchObject({ state: "healthy" })
        expect(await remote.fill({ ...rows, from: 5000, count: 100 })).toEqual({ written: 100 })
        await remote.demand({ op: "flush" })
        await remote.close()
        await remote.open({ path, ...small })
        expect(await remote.check({ ...rows, count: 100 + more.written })).toEqual({ wrong: [], missing: 0, failed: [] })
        expect(await remote.check({ ...rows, from: 5000, count: 100 })).toEqual({ wrong: [], missing: 0, failed: [] })
      } finally {
        chmodSync(path, 0o700)
      }
    }
  )

  changing("a directory that may not be read or written is refused by name, and opens as it was when it may", async (remote, path) => {
    const rows = { prefix: "k", from: 0, bytes: 100 } as const
    await remote.open({ path, ...small })
    expect(await remote.fill({ ...rows, count: 1000, together: 50 })).toEqual({ written: 1000 })
    await remote.demand({ op: "flush" })
    await remote.close()
    try {
      for (const mode of [0o000, 0o400, 0o500]) {
        chmodSync(path, mode)
        const refused = await remote.refused({ op: "open", options: { path, ...small } })
        expect([refused.tag, refused.fields["code"]], `mode ${mode.toString(8)}`).toEqual(["PermissionDenied", "EACCES"])
      }
    } finally {
      chmodSync(path, 0o700)
    }
    await remote.open({ path, ...small })
    expect(await remote.check({ ...rows, count: 1000 })).toEqual({ wrong: [], missing: 0, failed: [] })
  })
})
