/**
 * A bank under 10,000 transactions that are open at the same time: nothing is lost and nothing made, in total and in each account's ledger, seen by every reader at every moment.
 * `LIGHTNING_ISOLATION_TRANSFERS` makes more transfers than the 10,000 at each level of `npm test`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import type { LightningError } from "../../src/domain/errors.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import type { IsolationLevel, TransactionReads } from "../../src/services/Transaction.ts"
import { openLayer } from "../support/openLayer.ts"

const transfersAtOnce = 10_000
const transfers = Number(process.env["LIGHTNING_ISOLATION_TRANSFERS"] ?? "10000")
const seed = Number(process.env["LIGHTNING_ISOLATION_SEED"] ?? "31")
const accounts = 4000
const initial = 1000

const accountKey = (account: number): string => `account/${String(account).padStart(5, "0")}`
const ledgerKey = (account: number, transfer: number): string => `ledger/${String(account).padStart(5, "0")}/${transfer}`
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Gives way so often. */
const turns = (count: number): Effect.Effect<void> => (count === 0 ? Effect.void : Effect.flatMap(Effect.yieldNow, () => turns(count - 1)))

interface Transfer {
  readonly number: number
  readonly from: number
  readonly to: number
  readonly amount: number
}

/** Balances, and what the ledgers say of each account, from one moment. */
const readBank = (reads: Pick<TransactionReads, "scan">) =>
  Effect.gen(function* () {
    const balances: Array<number> = []
    for (const { value } of yield* Stream.runCollect(reads.scan({ prefix: "account/" }))) balances.push(Number(text(value)))
    const ledgers = Array.from({ length: accounts }, () => initial)
    let entries = 0
    for (const { key, value } of yield* Stream.runCollect(reads.scan({ prefix: "ledger/" }))) {
      ledgers[Number(text(key).split("/")[1])]! += Number(text(value))
      entries++
    }
    return { balances, ledgers, entries }
  })

const expectWhole = (reads: Pick<TransactionReads, "scan">, where: string) =>
  Effect.map(readBank(reads), ({ balances, entries, ledgers }) => {
    expect(balances.length, where).toBe(accounts)
    expect(
      balances.reduce((sum, balance) => sum + balance, 0),
      where
    ).toBe(accounts * initial)
    expect(
      balances.findIndex((balance, account) => balance !== ledgers[account]),
      `an account whose ledger says another balance (${where})`
    ).toBe(-1)
    expect(entries % 2, where).toBe(0)
    return entries / 2
  })

/** The body of a transfer: reads both balances, gives `between` its turn, and writes balances and ledger entries. */
const transferBody = (
  tx: TransactionReads & { readonly put: (key: string, value: string) => Effect.Effect<void, LightningError> },
  transfer: Transfer,
  between: Effect.Effect<unknown>
) =>
  Effect.gen(function* () {
    const { amount, from, number, to } = transfer
    const [has, gets] = [yield* tx.getText(accountKey(from)), yield* tx.getText(accountKey(to))]
    yield* between
    yield* tx.put(accountKey(from), String(Number(has) - amount))
    yield* tx.put(accountKey(to), String(Number(gets) + amount))
    yield* tx.put(ledgerKey(from, number), String(-amount))
    yield* tx.put(ledgerKey(to, number), String(amount))
  })

const openBank = Effect.gen(function* () {
  // Room for the transfers, and for the readers beside them.
  const db = yield* openLayer(
    LightningDb.layerMemory({ memtableBytes: 1 << 20, tableBytes: 1 << 20, maxTransactions: transfersAtOnce + 100, compactionWorkers: 0 })
  )
  yield* db.write(Array.from({ length: accounts }, (_, account) => ({ type: "put", key: accountKey(account), value: String(initial) })))
  return db
})

const drawTransfers = (from: number, count: number): ReadonlyArray<Transfer> => {
  const prng = seededPrng(seed * 7919 + from)
  return Array.from({ length: count }, (_, i) => {
    const one = drawInt(prng, accounts)
    return { number: from + i, from: one, to: (one + 1 + drawInt(prng, accounts - 1)) % accounts, amount: 1 + drawInt(prng, 50) }
  })
}

/** Scans of everything at one level while `isDone` says no, each of them over one moment. */
const readAllTheWhile = (db: DatabaseShape, level: IsolationLevel, isDone: () => boolean) =>
  Effect.gen(function* () {
    let reads = 0
    do {
      yield* db.transaction((tx) => expectWhole(tx, `a ${level} reader, seed ${seed}`), { isolation: level, retry: false })
      reads++
      yield* turns(4)
    } while (!isDone())
    return reads
  })

/** Balance and ledger of one account after the other; what was found is written down, and so has to be true when it is committed. */
const auditAllTheWhile = (db: DatabaseShape, level: IsolationLevel, isDone: () => boolean) =>
  Effect.gen(function* () {
    let audits = 0
    do {
      const account = (audits * 37) % accounts
      yield* db.transaction(
        (tx) =>
          Effect.gen(function* () {
            const balance = Number(yield* tx.getText(accountKey(account)))
            const entries = yield* Stream.runCollect(tx.scan({ prefix: `ledger/${String(account).padStart(5, "0")}/` }))
            expect(balance, `the audit of account ${account}, seed ${seed}`).toBe(
              [...entries].reduce((sum, { value }) => sum + Number(text(value)), initial)
            )
            yield* tx.put(`audit/${level}/${audits}`, String(balance))
          }),
        { isolation: level, durability: "buffered" }
      )
      audits++
      yield* turns(2)
    } while (!isDone())
    return audits
  })

describe("bank", () => {
  for (const level of ["serializable", "snapshot"] as const) {
    it(
      `10,000 open transfers at once, ${level}: with retries all of them come through`,
      () =>
        Effect.runPromise(
          Effect.scoped(
            Effect.gen(function* () {
              const db = yield* openBank
              let attempts = 0
              for (let from = 0; from < transfers; from += transfersAtOnce) {
                const round = drawTransfers(from, transfersAtOnce)
                const allOpen = Latch.makeUnsafe(false)
                let begun = 0
                let done = 0
                const run = (transfer: Transfer) => {
                  let first = true
                  return Effect.tap(
                    db.transaction(
                      (tx) =>
                        transferBody(
                          tx,
                          transfer,
                          Effect.suspend(() => {
                            attempts++
                            // Not all in one go: readers and auditors come in between.
                            if (!first) return turns(transfer.number % 4)
                            first = false
                            const inTurn = Effect.andThen(allOpen.await, turns(transfer.number % 30))
                            if (++begun < transfersAtOnce) return inTurn
                            return Effect.andThen(
                              Effect.map(db.stats, ({ transactions }) => {
                                expect(transactions.open).toBeGreaterThanOrEqual(transfersAtOnce)
                                allOpen.openUnsafe()
                              }),
                              inTurn
                            )
                          })
                        ),
                      { isolation: level, durability: "buffered" }
                    ),
                    () => Effect.sync(() => done++)
                  )
                }
                const isDone = () => done === round.length
                const [, ...looks] = yield* Effect.all(
                  [
                    Effect.forEach(round, run, { concurrency: "unbounded", discard: true }),
                    readAllTheWhile(db, "serializable", isDone),
                    readAllTheWhile(db, "snapshot", isDone),
                    auditAllTheWhile(db, "serializable", isDone),
                    auditAllTheWhile(db, "snapshot", isDone)
                  ],
                  { concurrency: "unbounded" }
                )
                console.log(
                  `${level}, seed ${seed}: ${round.length} transfers in ${attempts} attempts; reads of everything and audits beside them: ${looks.join(" ")}`
                )
                for (const count of looks) expect(count).toBeGreaterThan(1)
                expect(yield* expectWhole(db, `after ${from + transfersAtOnce} transfers, seed ${seed}`)).toBe(from + transfersAtOnce)
              }
              const { snapshots, transactions } = yield* db.stats
              expect([transactions.open, snapshots.open]).toEqual([0, 0])
              // A run in which nobody met anybody proves nothing.
              expect(attempts).toBeGreaterThan(transfers + transfers / 10)
              expect(transactions.conflicts).toBeGreaterThan(transfers / 10)
            })
          )
        ),
      60_000 + transfers
    )

    it(
      `10,000 open transfers at once, ${level}: without retries each comes through or conflicts, and nothing is in between`,
      () =>
        Effect.runPromise(
          Effect.scoped(
            Effect.gen(function* () {
              const db = yield* openBank
              const round = drawTransfers(0, transfersAtOnce)
              const allOpen = Latch.makeUnsafe(false)
              let begun = 0
              const results = yield* Effect.forEach(
                round,
                (transfer) =>
                  Effect.exit(
                    Effect.result(
                      db.transaction(
                        (tx) =>
                          transferBody(
                            tx,
                            transfer,
                            Effect.suspend(() => {
                              if (++begun === transfersAtOnce) allOpen.openUnsafe()
                              return allOpen.await
                            })
                          ),
                        { isolation: level, retry: false, durability: "buffered" }
                      )
                    )
                  ),
                { concurrency: "unbounded" }
              )
              const counts: Record<string, number> = {}
              for (const exit of results) {
                const outcome = Exit.isFailure(exit) ? "defect" : Result.isSuccess(exit.value) ? "committed" : exit.value.failure._tag
                counts[outcome] = (counts[outcome] ?? 0) + 1
              }
              const { committed = 0, TransactionConflict: conflicts = 0, ...others } = counts
              expect(others).toEqual({})
              expect(committed + conflicts).toBe(transfersAtOnce)
              expect(Math.min(committed, conflicts)).toBeGreaterThan(1000)
              expect(yield* expectWhole(db, `without retries, seed ${seed}`)).toBe(committed)
              const { snapshots, transactions } = yield* db.stats
              expect([transactions.open, snapshots.open]).toEqual([0, 0])
            })
          )
        ),
      60_000
    )
  }
})
