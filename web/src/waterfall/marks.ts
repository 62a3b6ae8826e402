// How a log looks in a waterfall.

/** The custom property with the colour of a severity. */
export function severityVariable(severity: number): string {
  if (severity >= 17) return '--error';
  return severity >= 13 ? '--warn' : '--muted';
}
