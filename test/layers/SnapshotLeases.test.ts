import { describe, expect, it } from "vitest"
import { DatabaseClosed } from "../../src/domain/errors.ts"
import { type LeaseRules, SnapshotLeases } from "../../src/layers/SnapshotLeases.ts"

const make = (rules: LeaseRules = {}) => {
  const clock = { ms: 0 }
  const log: Array<string> = []
  return {
    clock,
    log,
    leases: new SnapshotLeases(
      () => clock.ms,
      100,
      () => log.push("released"),
      rules
    )
  }
}

describe("SnapshotLeases", () => {
  it("a lease is good until it is released or its time is over, and ends once", () => {
    const { clock, leases, log } = make()
    const lease = leases.open(7, () => log.push("end"))
    clock.ms = 99
    lease.check()
    expect(leases.stripes(9)).toEqual([7, 9])
    expect(leases.stats()).toEqual({ open: 1, expired: 0, oldestSequence: 7, oldestAgeMs: 99 })
    clock.ms = 100
    // Over, though nobody has reaped it: reads fail at once.
    expect(lease.expired()).toMatchObject({ _tag: "SnapshotExpired", sequence: 7, leaseMs: 100 })
    expect(lease.check).toThrow("expired")
    expect(leases.stripes(9)).toEqual([9])
    lease.release()
    leases.reap()
    expect(log).toEqual(["end", "released"])
    expect(leases.stats()).toEqual({ open: 0, expired: 1, oldestSequence: undefined, oldestAgeMs: undefined })
  })

  it("those that stay are there, in whatever order others end", () => {
    for (const order of [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [1, 0, 3, 2],
      [2, 1, 3, 0]
    ]) {
      const { leases } = make()
      const open = new Map([0, 1, 2, 3].map((i) => [i, leases.open(10 + i)]))
      for (const i of order) {
        open.get(i)!.release()
        open.delete(i)
        expect(leases.stripes(20)).toEqual([...[...open.keys()].map((left) => 10 + left), 20])
        expect(leases.stats().open).toBe(open.size)
        expect(leases.stats().oldestSequence).toBe(open.size === 0 ? undefined : 10 + Math.min(...open.keys()))
      }
      // And it goes on from none.
      leases.open(15)
      expect(leases.stripes(20)).toEqual([15, 20])
    }
  })

  it("what ends one lease may end others", () => {
    const { clock, leases, log } = make()
    const second = { release: () => {} }
    leases.open(1, () => second.release())
    Object.assign(
      second,
      leases.open(2, () => log.push("second"))
    )
    leases.open(3, () => log.push("third"))
    clock.ms = 100
    leases.reap()
    expect(log).toEqual(["second", "released", "third", "released"])
    expect(leases.stats().open).toBe(0)
  })

  it("stripes ascend, without repetition", () => {
    const { leases } = make()
    for (const sequence of [5, 3, 5, 9]) leases.open(sequence)
    expect(leases.stripes(9)).toEqual([3, 5, 9])
  })

  it("reads under a lease end with it, by release and by time; those that ended before end no second time", () => {
    const { clock, leases, log } = make()
    for (const how of ["release", "time"]) {
      log.length = 0
      const lease = leases.open(1, () => log.push("snapshot"))
      const early = lease.under(() => log.push("early"))
      lease.under(() => log.push("abandoned"))
      early.release()
      early.release()
      expect(log).toEqual(["early"])
      if (how === "release") lease.release()
      else {
        clock.ms += 100
        leases.reap()
      }
      expect(log).toEqual(["early", "abandoned", "snapshot", "released"])
      early.release()
      expect(log).toHaveLength(4)
      expect(() => lease.under(() => undefined)).toThrow("expired")
    }
  })

  it("not more than may be, but for brief ones; who is over time makes room", () => {
    const { clock, leases } = make({ openMax: 2 })
    leases.open(1)
    const second = leases.open(2)
    expect(() => leases.open(3)).toThrow("maxTransactions")
    leases.open(3, undefined, true).release()
    second.release()
    leases.open(4)
    clock.ms = 100
    leases.open(5)
    expect(leases.stats()).toMatchObject({ open: 1, expired: 2, oldestSequence: 5 })
  })

  it("a closed database ends every read", () => {
    const closedBy: Array<DatabaseClosed> = []
    let firsts = 0
    const { leases } = make({ closed: () => closedBy[0], onFirst: () => firsts++ })
    const lease = leases.open(1)
    const under = lease.under(() => undefined)
    leases.open(2)
    expect(firsts).toBe(1)
    closedBy.push(new DatabaseClosed({}))
    expect(lease.check).toThrow(closedBy[0])
    expect(under.check).toThrow(closedBy[0])
  })
})
