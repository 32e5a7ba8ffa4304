import { describe, expect, it } from "vitest"
import { Car } from "../../../src/domain/cache/Car.ts"

interface Page {
  readonly id: number
  readonly weight: number
  mark: boolean
}

const sum = (list: ReadonlyArray<Page>): number => list.reduce((total, { weight }) => total + weight, 0)

/** The paper's figure 2 with weights, on plain arrays, oldest last: obvious, slow. */
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
  replace(): void {
    for (;;) {
      const fromT1 = this.t1.length > 0 && (sum(this.t1) >= this.p || this.t2.length === 0)
      const page = (fromT1 ? this.t1 : this.t2).pop()!
      if (!page.mark) {
        ;(fromT1 ? this.b1 : this.b2).unshift(page)
        return
      }
      page.mark = false
      this.t2.unshift(page)
    }
  }
  request(id: number, weight: number): "hit" | "miss" {
    const here = [...this.t1, ...this.t2].find((page) => page.id === id)
    if (here !== undefined) {
      here.mark = true
      return "hit"
    }
    while (sum(this.t1) + sum(this.t2) + weight > this.c) this.replace()
    const inB1 = this.b1.find((page) => page.id === id)
    const inB2 = this.b2.find((page) => page.id === id)
    const ghost = inB1 ?? inB2
    if (ghost === undefined) {
      while (sum(this.t1) + sum(this.b1) + weight > this.c) this.b1.pop()
      this.t1.unshift({ id, weight, mark: false })
    } else {
      const [mine, other] = inB1 !== undefined ? [sum(this.b1), sum(this.b2)] : [sum(this.b2), sum(this.b1)]
      const step = ghost.weight * Math.max(1, other / mine)
      this.p = inB1 !== undefined ? Math.min(this.p + step, this.c) : Math.max(this.p - step, 0)
      this.b1 = this.b1.filter((page) => page !== ghost)
      this.b2 = this.b2.filter((page) => page !== ghost)
      this.t2.unshift({ id, weight, mark: false })
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
    while (sum(this.t1) + sum(this.t2) > c) this.replace()
    while (sum(this.t1) + sum(this.b1) > c) this.b1.pop()
    while (sum(this.t1) + sum(this.t2) + sum(this.b1) + sum(this.b2) > 2 * c) this.b2.pop()
  }
}

/** A Car as a cache would drive it, with page ids for slots, and its own account of who is where. */
const drive = (capacity: number) => {
  const resident = new Set<number>()
  const ghosts = new Set<number>()
  const car = new Car(capacity, {
    evict: (slot) => {
      expect(resident.delete(slot)).toBe(true)
      ghosts.add(slot)
    },
    forget: (slot) => {
      expect(ghosts.delete(slot)).toBe(true)
    }
  })
  return {
    car,
    resident,
    ghosts,
    request: (id: number, weight: number): "hit" | "miss" => {
      if (resident.has(id)) {
        car.touch(id)
        return "hit"
      }
      expect(car.isGhost(id)).toBe(ghosts.has(id))
      car.admit(id, weight)
      ghosts.delete(id)
      resident.add(id)
      return "miss"
    },
    remove: (id: number): void => {
      if (resident.delete(id) || ghosts.delete(id)) car.remove(id)
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

describe("Car", () => {
  it.each([1, 2, 3, 7, 12])("equals the model for pages of weight 1 (c = %i)", (c) => {
    for (let seed = 1; seed <= 2; seed++) {
      const next = random(seed)
      const model = new Model(c)
      const mine = drive(c)
      for (let step = 0; step < 1500; step++) {
        const id = trace(next, step, 30)
        expect(mine.request(id, 1), `seed ${seed}, step ${step}`).toBe(model.request(id, 1))
        expect(mine.resident).toEqual(new Set([...model.t1, ...model.t2].map((page) => page.id)))
        expect(mine.ghosts).toEqual(new Set([...model.b1, ...model.b2].map((page) => page.id)))
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
        mine.car.resize(c)
      } else if (action < 5) {
        model.remove(id)
        mine.remove(id)
      } else {
        const weight = 1 + next(9)
        expect(mine.request(id, weight), at).toBe(model.request(id, weight))
      }
      expect(mine.resident, at).toEqual(new Set([...model.t1, ...model.t2].map((page) => page.id)))
      expect(mine.ghosts, at).toEqual(new Set([...model.b1, ...model.b2].map((page) => page.id)))
      expect(mine.car.weight, at).toBe(sum(model.t1) + sum(model.t2))
      expect(mine.car.weight, at).toBeLessThanOrEqual(c)
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
