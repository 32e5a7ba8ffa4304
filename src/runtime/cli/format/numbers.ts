/** Numbers for people: fixed grouping and decimal units, independent of the locale, so that transcripts are the same everywhere. */

/** 1234567 -> "1,234,567" */
export const formatCount = (n: number): string => {
  const digits = Math.trunc(Math.abs(n)).toString()
  let out = ""
  for (let end = digits.length; end > 0; end -= 3) {
    out = digits.slice(Math.max(0, end - 3), end) + (out === "" ? "" : `,${out}`)
  }
  return n < 0 ? `-${out}` : out
}

const units = ["B", "kB", "MB", "GB", "TB", "PB"] as const

/** Three significant digits in decimal units: 0 B, 999 B, 1.23 kB, 12.3 MB, 123 GB. */
export const formatBytes = (bytes: number): string => {
  if (bytes < 1000) return `${Math.round(bytes)} B`
  let value = bytes
  let unit = 0
  // 999.5 would be printed as "1000", so it already counts as the next unit.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${units[unit]}`
}

const twoDigits = (n: number): string => n.toString().padStart(2, "0")

/** 0.42 ms, 12 ms, 1.23 s, 2 m 05 s, 1 h 02 m. */
export const formatDuration = (ms: number): string => {
  if (ms < 10) return `${ms.toFixed(2)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(ms < 9_995 ? 2 : 1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${twoDigits(seconds % 60)} s`
  return `${Math.floor(seconds / 3600)} h ${twoDigits(Math.floor((seconds % 3600) / 60))} m`
}

/** Events per second as a count, e.g. "123,456/s"; "-" while no time has passed. */
export const formatRate = (events: number, ms: number): string => (ms <= 0 ? "-" : `${formatCount(Math.round((events * 1000) / ms))}/s`)

/** Bytes per second, e.g. "82.3 MB/s"; "-" while no time has passed. */
export const formatByteRate = (bytes: number, ms: number): string => (ms <= 0 ? "-" : `${formatBytes((bytes * 1000) / ms)}/s`)

/** "1 file", "2 files", "3 entries" (give the plural where it is not the singular with an s). */
export const formatNoun = (n: number, singular: string, plural = `${singular}s`): string => `${formatCount(n)} ${n === 1 ? singular : plural}`
