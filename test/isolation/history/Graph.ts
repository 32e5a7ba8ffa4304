/**
 * Who must stand before whom, and the search for circles. Edges: `ww` (overwrote), `wr` (read what the other wrote), `rw` (read what the other replaced later), `rt` (had been
 * answered before the other began). A circle contradicts every serial order; what each isolation level excludes is decided while walking.
 *
 * Each transaction has a point from which it reads, s, and one at which it writes, c, with s ≤ c; at level "serializable", and where it writes nothing, they are the same. `ww`,
 * `wr` and `rt` say c(u) ≤ s(v), `rw` says s(u) < c(v). A walk that can be continued in this way to where it began is a contradiction; for "snapshot" alone that excludes
 * exactly the circles without two `rw` edges in a row, for "serializable" alone all of them, and for a mix what lies between.
 */
export type EdgeKind = "ww" | "wr" | "rw" | "rt"

export interface Edge {
  readonly from: number
  readonly to: number
  readonly kind: EdgeKind
  readonly why: () => string
}

export class Graph {
  readonly #nodeCount: number
  readonly #momentsFrom: number
  readonly #isWeak: (node: number) => boolean
  readonly #out: Array<Array<Edge>>

  /** Nodes from `momentsFrom` on are moments between transactions, and count nothing. `isWeak`: s and c of the node may differ. */
  constructor(nodeCount: number, momentsFrom: number, isWeak: (node: number) => boolean) {
    this.#nodeCount = nodeCount
    this.#momentsFrom = momentsFrom
    this.#isWeak = isWeak
    this.#out = Array.from({ length: nodeCount }, () => [])
  }

  add(edge: Edge): void {
    if (edge.from !== edge.to) this.#out[edge.from]!.push(edge)
  }

  count(kind: EdgeKind): number {
    return this.#out.reduce((sum, edges) => sum + edges.filter((edge) => edge.kind === kind).length, 0)
  }

  /** A short circle over edges of these kinds, or undefined. One with a single `rw` edge is preferred. */
  cycle(kinds: ReadonlySet<EdgeKind>): ReadonlyArray<Edge> | undefined {
    const component = this.#componentWithCycle(kinds)
    if (component === undefined) return undefined
    const inside = new Set(component)
    // A bound on the work where thousands of transactions form one knot. Its circles mostly share one culprit: what the best one so far passes through is tried, too.
    const starts = component.filter((state) => state >> 1 < this.#momentsFrom).slice(0, 100)
    let best: { readonly cycle: ReadonlyArray<Edge>; readonly weight: number } | undefined
    for (let start = starts.shift(); start !== undefined; start = starts.shift()) {
      const cycle = this.#shortestFrom(start, kinds, inside)
      if (cycle === undefined) continue
      const weight = this.#weight(cycle)
      if (best !== undefined && weight >= best.weight) continue
      best = { cycle, weight }
      for (const { to } of cycle) if (to < this.#momentsFrom) starts.push(to * 2, to * 2 + 1)
    }
    return best?.cycle
  }

  /** A circle with fewer `rw` edges says more; then the one with fewer transactions. */
  #weight(cycle: ReadonlyArray<Edge>): number {
    return cycle.reduce((sum, { kind, to }) => sum + (kind === "rw" ? 1000 : 0) + (to < this.#momentsFrom ? 1 : 0), 0)
  }

  /** States: twice the node, plus one where only its c is known to come after what was walked. */
  #next(state: number, edge: Edge, kinds: ReadonlySet<EdgeKind>): number | undefined {
    if (!kinds.has(edge.kind)) return undefined
    if (edge.kind !== "rw") return edge.to * 2
    if ((state & 1) === 1) return undefined
    return edge.to * 2 + (this.#isWeak(edge.to) ? 1 : 0)
  }

  /** Tarjan, without recursion. */
  #componentWithCycle(kinds: ReadonlySet<EdgeKind>): ReadonlyArray<number> | undefined {
    const states = this.#nodeCount * 2
    const index = new Int32Array(states).fill(-1)
    const low = new Int32Array(states)
    const onStack = new Uint8Array(states)
    const cursor = new Int32Array(states)
    const stack: Array<number> = []
    const path: Array<number> = []
    let counter = 0
    let smallest: ReadonlyArray<number> | undefined
    const enter = (state: number) => {
      index[state] = low[state] = counter++
      onStack[state] = 1
      stack.push(state)
      path.push(state)
    }
    for (let root = 0; root < states; root++) {
      if (index[root] !== -1) continue
      enter(root)
      while (path.length > 0) {
        const state = path.at(-1)!
        const edges = this.#out[state >> 1]!
        if (cursor[state]! < edges.length) {
          const next = this.#next(state, edges[cursor[state]!++]!, kinds)
          if (next === undefined) continue
          if (index[next] === -1) enter(next)
          else if (onStack[next] === 1) low[state] = Math.min(low[state]!, index[next]!)
          continue
        }
        path.pop()
        const parent = path.at(-1)
        if (parent !== undefined) low[parent] = Math.min(low[parent]!, low[state]!)
        if (low[state] !== index[state]) continue
        const component = stack.splice(stack.lastIndexOf(state))
        for (const member of component) onStack[member] = 0
        if (component.length > 1 && (smallest === undefined || component.length < smallest.length)) smallest = component
      }
    }
    return smallest
  }

  #shortestFrom(start: number, kinds: ReadonlySet<EdgeKind>, inside: ReadonlySet<number>): ReadonlyArray<Edge> | undefined {
    const came = new Map<number, { readonly from: number; readonly edge: Edge }>()
    let wave = [start]
    while (wave.length > 0) {
      const following: Array<number> = []
      // Passing on to a moment is free, and belongs to the same wave.
      for (let i = 0; i < wave.length; i++) {
        const state = wave[i]!
        for (const edge of this.#out[state >> 1]!) {
          const next = this.#next(state, edge, kinds)
          if (next === undefined || !inside.has(next)) continue
          if (next === start) {
            const cycle = [edge]
            for (let at = state; at !== start;) {
              const step = came.get(at)!
              cycle.push(step.edge)
              at = step.from
            }
            return cycle.reverse()
          }
          if (came.has(next)) continue
          came.set(next, { from: state, edge })
          if (edge.to < this.#momentsFrom) following.push(next)
          else wave.push(next)
        }
      }
      wave = following
    }
    return undefined
  }
}
