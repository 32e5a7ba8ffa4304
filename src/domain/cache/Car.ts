import type { CacheContents, CachePolicy } from "./CachePolicy.ts"

/** Numbers of the lists; slot s is node s + `lists` of the links, and the list heads are nodes themselves, so that lists are circular and unlinking has no cases. */
const t1 = 0
const t2 = 1
const b1 = 2
const b2 = 3
const lists = 4
const free = 4

/** Fields of a node, side by side so that one cache line holds them. */
const prevField = 0
const nextField = 1
const listField = 2
const weightField = 3
const nodeFields = 4

/**
 * CAR, the clock with adaptive replacement (Sorav Bansal and Dharmendra S. Modha, "CAR: Clock with Adaptive Replacement", FAST 2004), with weights: what ARC decides, for the
 * price of one byte per hit.
 *
 * ARC moves an entry to the front of its list at each hit, which touches three nodes at random places in memory: in a cache of many small blocks that costs more than finding
 * the block. Here a hit leaves a mark. Who must give way looks at the oldest entry: one that bears a mark loses it and goes to the front of T2, one that bears none goes.
 *
 * T1 holds what was asked for once, T2 what was asked for again; B1 and B2 are their ghosts. A hit in B1 says T1 was too small, in B2 that T2 was: the target size `p` of T1
 * follows. A scan passes through T1 and leaves T2 alone.
 *
 * The paper counts pages; here every |X| is the sum of the weights in X, c is a weight, and where the paper moves one page to make room for one, as many move as the newcomer
 * needs. The step of `p` is the weight of the ghost that was hit, times the ratio of the ghost lists as in the paper. Ghosts keep the weight they had. With all weights 1 this
 * is the paper's algorithm, page for page. Held at all times: |T1| + |T2| ≤ c, |T1| + |B1| ≤ c, and the four together ≤ 2c.
 */
export class Car implements CachePolicy {
  capacity: number
  private readonly contents: CacheContents
  private nodes = new Int32Array(64 * nodeFields)
  private readonly sums = new Float64Array(lists)
  /** By slot: 1 when it was asked for since it was last looked at. Apart from the nodes, so that all marks stay in the CPU's cache. */
  private marks = new Uint8Array(64)
  private target = 0

  constructor(capacity: number, contents: CacheContents) {
    this.capacity = capacity
    this.contents = contents
    for (let list = 0; list < lists; list++) this.nodes[list * nodeFields + prevField] = this.nodes[list * nodeFields + nextField] = list
    this.freeFrom(lists)
  }

  get weight(): number {
    return this.sums[t1]! + this.sums[t2]!
  }

  touch(slot: number): void {
    this.marks[slot] = 1
  }

  admit(slot: number, weight: number): void {
    const node = slot + lists
    this.grow(node)
    this.marks[slot] = 0
    const at = node * nodeFields
    const list = this.nodes[at + listField]!
    const { capacity, sums } = this
    // Room first, as in the paper: who goes is decided by the target as it was.
    while (sums[t1]! + sums[t2]! + weight > capacity) this.replace()
    if (list === free) {
      while (sums[t1]! + sums[b1]! + weight > capacity) this.forgetOldest(b1)
      this.put(node, t1, weight)
    } else {
      const own = this.nodes[at + weightField]!
      const ratio = Math.max(1, list === b1 ? sums[b2]! / sums[b1]! : sums[b1]! / sums[b2]!)
      this.target = list === b1 ? Math.min(this.target + own * ratio, capacity) : Math.max(this.target - own * ratio, 0)
      this.take(node)
      this.put(node, t2, weight)
    }
    this.trimGhosts()
  }

  isGhost(slot: number): boolean {
    const list = this.nodes[(slot + lists) * nodeFields + listField]!
    return list === b1 || list === b2
  }

  remove(slot: number): void {
    this.take(slot + lists)
  }

  resize(capacity: number): void {
    this.capacity = capacity
    this.target = Math.min(this.target, capacity)
    const { sums } = this
    while (sums[t1]! + sums[t2]! > capacity) this.replace()
    while (sums[t1]! + sums[b1]! > capacity) this.forgetOldest(b1)
    this.trimGhosts()
  }

  /** REPLACE of the paper: the oldest of T1 or T2 without a mark becomes a ghost. It ends, because each mark it meets is taken away. */
  private replace(): void {
    for (;;) {
      const first = this.sums[t1]!
      // T2 may be empty while T1 is at its target, where weights do not fit each other: then T1 gives.
      const fromT1 = first > 0 && (first >= this.target || this.sums[t2] === 0)
      const node = this.nodes[(fromT1 ? t1 : t2) * nodeFields + prevField]!
      const slot = node - lists
      const weight = this.nodes[node * nodeFields + weightField]!
      this.take(node)
      if (this.marks[slot] === 0) {
        this.put(node, fromT1 ? b1 : b2, weight)
        this.contents.evict(slot)
        return
      }
      this.marks[slot] = 0
      this.put(node, t2, weight)
    }
  }

  private trimGhosts(): void {
    const { capacity, sums } = this
    while (sums[t1]! + sums[t2]! + sums[b1]! + sums[b2]! > 2 * capacity) this.forgetOldest(b2)
  }

  private forgetOldest(list: number): void {
    const node = this.nodes[list * nodeFields + prevField]!
    this.take(node)
    this.contents.forget(node - lists)
  }

  private take(node: number): void {
    const nodes = this.nodes
    const at = node * nodeFields
    const prev = nodes[at + prevField]!
    const next = nodes[at + nextField]!
    nodes[prev * nodeFields + nextField] = next
    nodes[next * nodeFields + prevField] = prev
    this.sums[nodes[at + listField]!]! -= nodes[at + weightField]!
    nodes[at + listField] = free
  }

  private put(node: number, list: number, weight: number): void {
    const at = node * nodeFields
    this.nodes[at + listField] = list
    this.nodes[at + weightField] = weight
    this.sums[list]! += weight
    this.linkFirst(node, list)
  }

  private linkFirst(node: number, list: number): void {
    const nodes = this.nodes
    const head = list * nodeFields
    const first = nodes[head + nextField]!
    nodes[node * nodeFields + prevField] = list
    nodes[node * nodeFields + nextField] = first
    nodes[first * nodeFields + prevField] = node
    nodes[head + nextField] = node
  }

  private grow(node: number): void {
    const count = this.nodes.length / nodeFields
    if (node < count) return
    const larger = new Int32Array(Math.max(count * 2, node + 1) * nodeFields)
    larger.set(this.nodes)
    this.nodes = larger
    const marks = new Uint8Array(larger.length / nodeFields)
    marks.set(this.marks)
    this.marks = marks
    this.freeFrom(count)
  }

  private freeFrom(node: number): void {
    for (let at = node * nodeFields; at < this.nodes.length; at += nodeFields) this.nodes[at + listField] = free
  }
}
