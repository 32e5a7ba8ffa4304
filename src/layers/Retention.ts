import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { holdsKeyspace } from "../domain/compaction/KeySpan.ts"
import type { Horizon } from "../domain/compaction/stripes.ts"
import { type KeptVersions, keptOf, withKept } from "../domain/history/keptVersions.ts"
import { defaultKeyspace, systemKeyspace } from "../domain/keys/kinds.ts"
import { Catalog } from "../services/Catalog.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { Manifest } from "../services/Manifest.ts"
import { Retention } from "../services/Retention.ts"
import { Timeline } from "../services/Timeline.ts"

export interface RetentionParts {
  readonly catalog: Pick<Catalog["Service"], "droppedIds" | "historyMs" | "historyVersions" | "keepsHistory" | "names">
  readonly timeline: Pick<Timeline["Service"], "floorAt">
  readonly nowMs: () => number
  /** As the manifest holds it when this is made. */
  readonly historyFrom: ReadonlyMap<number, number>
  readonly keptVersions: ReadonlyMap<number, ReadonlyArray<KeptVersions>>
  /** From where on keyspace 0 can be read, as the manifest holds it now: what a crash would leave. */
  readonly namesDurableFrom: () => number
}

export const make = ({ catalog, historyFrom, keptVersions, namesDurableFrom, nowMs, timeline }: RetentionParts): Retention["Service"] => {
  let from: ReadonlyMap<number, number> = historyFrom
  let kept = keptVersions

  /** Those with retention by count, and how many versions they keep. */
  const counted = (): ReadonlyMap<number, number> => {
    const versions = new Map<number, number>()
    const ask = (id: number) => {
      const count = catalog.historyVersions(id)
      if (count > 0) versions.set(id, count)
    }
    ask(defaultKeyspace)
    for (const { id } of catalog.names()) ask(id)
    return versions
  }

  /** By keyspace, the first sequence that retention still asks for; those that are not in it ask for nothing but the present. */
  const wanted = (visible: number): ReadonlyMap<number, number> => {
    const floors = new Map<number, number>()
    if (!catalog.keepsHistory()) return floors
    const now = nowMs()
    const byLength = new Map<number, number>([
      [0, visible],
      [Infinity, 0]
    ])
    const floorOf = (historyMs: number): number => {
      let floor = byLength.get(historyMs)
      if (floor === undefined) byLength.set(historyMs, (floor = timeline.floorAt(Math.floor((now - historyMs) / 1000), visible)))
      return floor
    }
    let lowest = visible
    const ask = (id: number, dropSequence: number) => {
      const floor = floorOf(catalog.historyMs(id))
      // Of a keyspace that was dropped before, nothing is asked for.
      if (floor >= visible || floor >= dropSequence) return
      floors.set(id, Math.min(visible, Math.max(floor, from.get(id) ?? 0)))
      lowest = Math.min(lowest, floor)
    }
    ask(defaultKeyspace, Infinity)
    for (const { id } of catalog.names()) ask(id, Infinity)
    for (const [id, dropSequence] of catalog.droppedIds()) ask(id, dropSequence)
    // The names and times of the past are kept while anything is.
    if (lowest < visible) floors.set(systemKeyspace, Math.min(visible, Math.max(lowest, from.get(systemKeyspace) ?? 0)))
    return floors
  }

  const horizonsOf = (floors: ReadonlyMap<number, number>, versions: ReadonlyMap<number, number>): ReadonlyArray<Horizon> => {
    const dropped = catalog.droppedIds()
    const horizons: Array<Horizon> = []
    for (const [keyspace, count] of versions) horizons.push({ keyspace, versions: count })
    for (const [keyspace, floor] of floors) if (!dropped.has(keyspace)) horizons.push({ keyspace, historyFrom: floor })
    for (const [keyspace, dropSequence] of dropped) horizons.push({ keyspace, dropSequence, historyFrom: floors.get(keyspace) })
    return horizons
  }

  return {
    historyFrom: () => from,
    keptVersions: () => kept,
    horizons: (visible) => horizonsOf(wanted(visible), counted()),
    begin: (visible, spans) => {
      const floors = wanted(visible)
      const dropped = catalog.droppedIds()
      const raised: Array<{ readonly keyspace: number; readonly sequence: number }> = []
      const next = new Map(from)
      const versions = counted()
      const nextKept = new Map(kept)
      const raise = (keyspace: number) => {
        if (spans !== undefined && !holdsKeyspace(spans, keyspace)) return
        const sequence = floors.get(keyspace) ?? visible
        raised.push({ keyspace, sequence })
        const count = versions.get(keyspace)
        // One that does not count any more takes back what was there for certain.
        if (count !== undefined || kept.has(keyspace)) nextKept.set(keyspace, withKept(keptOf(kept, from, keyspace), { sequence, count: count ?? 0 }))
        if (sequence > (from.get(keyspace) ?? 0)) next.set(keyspace, sequence)
      }
      raise(systemKeyspace)
      raise(defaultKeyspace)
      for (const { id } of catalog.names()) raise(id)
      // Who cannot be named any more, not even in the past nor after a crash that takes back what other jobs have raised, needs no note.
      const namesFrom = namesDurableFrom()
      for (const [id, dropSequence] of dropped) if (dropSequence > namesFrom) raise(id)
      from = next
      kept = nextKept
      return { horizons: horizonsOf(floors, versions), historyFrom: raised, versions }
    }
  }
}

export const layer: Layer.Layer<Retention, never, Catalog | EngineClock | Manifest | Timeline> = Layer.effect(
  Retention,
  Effect.gen(function* () {
    const catalog = yield* Catalog
    const clock = yield* EngineClock
    const manifest = yield* Manifest
    const timeline = yield* Timeline
    const { historyFrom, keptVersions } = manifest.state()
    const namesDurableFrom = () => manifest.state().historyFrom.get(systemKeyspace) ?? 0
    return Retention.of(make({ catalog, timeline, nowMs: clock.nowMs, historyFrom, keptVersions, namesDurableFrom }))
  })
)
