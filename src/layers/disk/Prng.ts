/** A source of numbers in [0, 1). What is drawn from a seeded one can be drawn again. */
export type Prng = () => number

/** Bob Jenkins' small fast counting generator (sfc32), warmed up from one 32-bit seed. */
export const seededPrng = (seed: number): Prng => {
  let a = 0x9e3779b9
  let b = 0x243f6a88
  let c = seed | 0
  let counter = 1
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  for (let i = 0; i < 12; i++) next()
  return next
}

/** A whole number in [0, bound). */
export const drawInt = (prng: Prng, bound: number): number => Math.floor(prng() * bound)
