import { describe, expect, it } from "vitest"
import { Arc } from "../../../src/domain/cache/Arc.ts"

interface Page {
  readonly id: number
  readonly weight: number
}

const sum = (list: ReadonlyArray<Page>): number => list.reduce((total, { weight }) => total + weight, 0)

/** The weighted rules on plain arrays, newest first: obvious, slow. */
class Model {
  t1: Array<Page> = []
  t2: Array<Page> = []
  b1: Array<Page> = []
  b2: Array<Page> = []
  p = 0
  c: number
  constructor(c: number) {
    this.c = c
  }
  replace(inB2: boolean): void {
    const size = sum(this.t1)
    const first = size > 0 && (size > this.p || (inB2 && size === this.p) || this.t2.length === 0)
    if (first) this.b1.unshift(this.t1.pop()!)
    else this.b2.unshift(this.t2.pop()!)
  }
  request(id: number, weight: number): "hit" | "miss" {
    const is = (page: Page) => page.id === id
    const has = (list: ReadonlyArray<Page>) => list.some(is)
    const without = (list: ReadonlyArray<Page>) => list.filter((page) => !is(page))
    if (has(this.t1) || has(this.t2)) {
      const page = [...this.t1, ...this.t2].find(is)!
      this.t1 = without(this.t1)
      this.t2 = [page, ...without(this.t2)]
      return "hit"
    }
    const inB1 = has(this.b1)
    const inB2 = has(this.b2)
    if (inB1 || inB2) {
      const ghost = [...this.b1, ...this.b2].find(is)!
      const [mine, other] = inB1 ? [sum(this.b1), sum(this.b2)] : [sum(this.b2), sum(this.b1)]
      const step = ghost.weight * Math.max(1, other / mine)
      this.p = inB1 ? Math.min(this.p + step, this.c) : Math.max(this.p - step, 0)
      this.b1 = without(this.b1)
      this.b2 = without(this.b2)
      while (sum(this.t1) + sum(this.t2) + weight > this.c) this.replace(inB2)
      this.t2.unshift({ id, weight })
    } else {
      while (sum(this.t1) + sum(this.b1) + weight > this.c) (this.b1.length > 0 ? this.b1 : this.t1).pop()
      while (sum(this.t1) + sum(this.t2) + weight > this.c) this.replace(false)
      this.t1.unshift({ id, weight })
    }
    while (sum(this.t1) + sum(this.t2) + sum(this.b1) + sum(this.b2) > 2 * this.c) this.b2.pop()
    return "miss"
  }
  remove(id: number): void {
    for (const name of ["t1", "t2", "b1", "b2"] as const) this[name] = this[name].filter((page) => page.id !== id)
  }
  resize(c: number): void {
    this.c = c
    this.p = Math.min(this.p, c)
    while (sum(this.t1) + sum(this.t2) > c) this.replace(false)
    while (sum(this.t1) + sum(this.b1) > c) this.b1.pop()
    while (sum(this.t1) + sum(this.t2) + sum(this.b1) + sum(this.b2) > 2 * c) this.b2.pop()
  }
}

/** Figure 4 of the paper, case by case, for pages of weight 1. */
class Paper {
  t1: Array<number> = []
  t2: Array<number> = []
  b1: Array<number> = []
  b2: Array<number> = []
  p = 0
  readonly c: number
  constructor(c: number) {
    this.c = c
  }
  replace(x: number): void {
    if (this.t1.length >= 1 && ((this.b2.includes(x) && this.t1.length === this.p) || this.t1.length > this.p)) this.b1.unshift(this.t1.pop()!)
    else this.b2.unshift(this.t2.pop()!)
  }
  request(x: number): "hit" | "miss" {
    const { c } = this
    if (this.t1.includes(x) || this.t2.includes(x)) {
      this.t1 = this.t1.filter((y) => y !== x)
      this.t2 = [x, ...this.t2.filter((y) => y !== x)]
      return "hit"
    }
    if (this.b1.includes(x)) {
      this.p = Math.min(this.p + (this.b1.length >= this.b2.length ? 1 : this.b2.length / this.b1.length), c)
      this.replace(x)
      this.b1 = this.b1.filter((y) => y !== x)
      this.t2.unshift(x)
      return "miss"
    }
    if (this.b2.includes(x)) {
      this.p = Math.max(this.p - (this.b2.length >= this.b1.length ? 1 : this.b1.length / this.b2.length), 0)
      this.replace(x)
      this.b2 = this.b2.filter((y) => y !== x)
      this.t2.unshift(x)
      return "miss"
    }
    const l1 = this.t1.length + this.b1.length
    const total = l1 + this.t2.length + this.b2.length
    if (l1 === c) {
      if (this.t1.length < c) {
        this.b1.pop()
        this.replace(x)
      } else this.t1.pop()
    } else if (total >= c) {
      if (total === 2 * c) this.b2.pop()
      this.replace(x)
    }
    this.t1.unshift(x)
    return "miss"
  }
}

/** An Arc as a cache would drive it, with page ids for slots, and its own account of who is where. */
const drive = (capacity: number) => {
  const resident = new Set<number>()
  const ghosts = new Set<number>()
  const arc = new Arc(capacity, {
    evict: (slot) => {
      expect(resident.delete(slot)).toBe(true)
      ghosts.add(slot)
    },
    forget: (slot) => {
      expect(resident.delete(slot) !== ghosts.delete(slot)).toBe(true)
    }
  })
  return {
    arc,
    resident,
    ghosts,
    request: (id: number, weight: number): "hit" | "miss" => {
      if (resident.has(id)) {
        arc.touch(id)
        return "hit"
      }
      expect(arc.isGhost(id)).toBe(ghosts.has(id))
      arc.admit(id, weight)
      ghosts.delete(id)
      resident.add(id)
      return "miss"
    },
    remove: (id: number): void => {
      if (resident.delete(id) || ghosts.delete(id)) arc.remove(id)
    }
  }
}

const random = (seed: number) => {
  let state = seed | 0
  return (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) % below
  }
}

/** Loops, scans, hot spots and noise in turn, so that the target moves both ways. */
const trace = (next: (below: number) => number, step: number, pages: number): number => {
  const phase = Math.floor(step / 150) % 4
  if (phase === 0) return next(pages)
  if (phase === 1) return step % pages
  if (phase === 2) return next(6)
  return next(2) === 0 ? next(12) : (step * 7) % pages
}

describe("Arc", () => {
  it.each([1, 2, 3, 7, 12])("is the paper's algorithm for pages of weight 1 (c = %i)", (c) => {
    for (let seed = 1; seed <= 2; seed++) {
      const next = random(seed)
      const paper = new Paper(c)
      const model = new Model(c)
      const mine = drive(c)
      for (let step = 0; step < 1500; step++) {
        const id = trace(next, step, 30)
        const expected = paper.request(id)
        expect(model.request(id, 1), `model, seed ${seed}, step ${step}`).toBe(expected)
        expect(mine.request(id, 1), `seed ${seed}, step ${step}`).toBe(expected)
        expect(mine.resident).toEqual(new Set([...paper.t1, ...paper.t2]))
        expect(mine.ghosts).toEqual(new Set([...paper.b1, ...paper.b2]))
      }
    }
  })

  it.each([1, 2, 3, 4])("equals the model with weights, removals and resizes (seed %i)", (seed) => {
    const next = random(seed * 7919)
    let c = 40
    const model = new Model(c)
    const mine = drive(c)
    for (let step = 0; step < 2000; step++) {
      const at = `seed ${seed}, step ${step}`
      const action = next(200)
      const id = trace(next, step, 120)
      if (action === 0) {
        c = 20 + next(60)
        model.resize(c)
        mine.arc.resize(c)
      } else if (action < 5) {
        model.remove(id)
        mine.remove(id)
      } else {
        const weight = 1 + next(9)
        expect(mine.request(id, weight), at).toBe(model.request(id, weight))
      }
      expect(mine.resident, at).toEqual(new Set([...model.t1, ...model.t2].map((page) => page.id)))
      expect(mine.ghosts, at).toEqual(new Set([...model.b1, ...model.b2].map((page) => page.id)))
      expect(mine.arc.weight, at).toBe(sum(model.t1) + sum(model.t2))
      expect(mine.arc.weight, at).toBeLessThanOrEqual(c)
      expect(sum(model.t1) + sum(model.b1), at).toBeLessThanOrEqual(c)
    }
  })

  it("lets a scan pass without losing what is used", () => {
    const mine = drive(100)
    for (let round = 0; round < 2; round++) for (let id = 0; id < 50; id++) mine.request(id, 1)
    for (let id = 1000; id < 5000; id++) mine.request(id, 1)
    for (let id = 0; id < 50; id++) expect(mine.request(id, 1)).toBe("hit")
  })
})
