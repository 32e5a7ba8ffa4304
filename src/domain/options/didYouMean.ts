/** Edit distance of two short words (Levenshtein, one row at a time). */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}

/** The known name that `name` was most likely meant to be, or undefined when none is near. Case and separators do not count; a third of the letters may differ. */
export const didYouMean = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const plain = (word: string) => word.toLowerCase().replace(/[^a-z0-9]/g, "")
  const wanted = plain(name).slice(0, 64)
  let best: string | undefined
  let least = Infinity
  for (const candidate of known) {
    const d = distance(wanted, plain(candidate))
    if (d < least && d * 3 <= candidate.length) {
      best = candidate
      least = d
    }
  }
  return best
}
