/** What the oracle asks of a database that is open: whether what is there follows from what was promised, and whether everything works. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { judged, type LifeContext, observeAll, runFiber } from "./steps.ts"

/** Right after opening. `kept`: nothing that was acknowledged may be missing. */
export const reconcile = (life: LifeContext, kept: boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { db, history } = life
    const { ledger } = history
    const { durableSequence, recovery, visibleSequence } = yield* db.stats
    ledger.count("recoveries", "opened")
    if (recovery.replayedTransactions > 0) ledger.count("recoveries", "replayed")
    if (recovery.cutBytes > 0) ledger.count("recoveries", "torn tail")
    if (recovery.laterGroupsCut > 0) ledger.count("recoveries", "later groups cut")
    life.note(`recovered ${visibleSequence} ${recovery.replayedTransactions} ${recovery.cutBytes}`)
    let from = 1
    if (life.keepsByCursor) {
      const known = (yield* judged(life, "recovered (cursors)", db.cursors))?.find(({ name }) => name === "oracle")
      if (known === undefined) yield* judged(life, "recovered (createCursor)", db.createCursor("oracle", 1))
      else from = known.next
    }
    const changes = from > visibleSequence ? [] : yield* judged(life, "recovered (changes)", Stream.runCollect(db.changes({ from, live: false })))
    if (changes === undefined) return
    // What the engine has committed since the opening may be in it: only what was durable then has to stay.
    const shown = changes.filter(({ sequence }) => sequence <= visibleSequence)
    history.recovered({ visible: visibleSequence, durable: durableSequence, from, changes: shown, kept })
    yield* observeAll(life, "everything after opening")
    yield* learnAll(life)
    history.judge()
    ledger.count("observations", "whole state")
  })

/** Reads the feed to its end. */
export const learnAll = (life: LifeContext): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { db, history } = life
    const { visibleSequence } = yield* db.stats
    if (history.next > visibleSequence) return
    const changes = Stream.takeWhile(db.changes({ from: history.next, live: false }), ({ sequence }) => sequence <= visibleSequence)
    const done = yield* judged(
      life,
      "learning",
      Effect.as(
        Stream.runForEach(changes, (change) => Effect.sync(() => history.learn(change))),
        true
      )
    )
    if (done === true) history.learnedThrough(visibleSequence)
  })

/** The feed, as it comes; where reading fails, from where it was. */
export const follow = (life: LifeContext): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { db, history } = life
    for (;;) {
      const followed = Stream.runForEach(db.changes({ from: history.next }), (change) =>
        Effect.sync(() => {
          history.learn(change)
          history.ledger.count("feed", "followed live")
        })
      )
      yield* judged(life, "following", followed)
      yield* Effect.sleep(5)
    }
  })

/** Nothing fails any more: everything works. */
export const probe = (life: LifeContext, name: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* runFiber(
      life,
      `${name}.probe`,
      [
        { do: "write", writes: [{ put: "probe", bytes: 20 }], sync: true },
        { do: "flush" },
        { do: "write", writes: [{ fill: 3, bytes: 2000 }] },
        { do: "compact" },
        { do: "verify" }
      ],
      () => undefined
    )
    yield* observeAll(life, `${name}, everything before closing`)
    life.history.ledger.count("observations", "whole state")
  })
