/** A position in the list of records: after the record with this offer time and this row. */
export interface Place {
  /** ISO 8601, UTC, with milliseconds. */
  readonly offered: string;
  readonly row: number;
}

const PLACE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\d{1,15})$/;

/** Writes a cursor. It needs no URL encoding. */
export function writeCursor({ offered, row }: Place): string {
  return Buffer.from(`${offered} ${row}`).toString('base64url');
}

/** Parses a cursor. Undefined if it is not one that `writeCursor` wrote. */
export function readCursor(cursor: string): Place | undefined {
  const [, offered, row] = PLACE.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (offered === undefined) return undefined;
  const place = { offered, row: Number(row) };
  // Base64 decoders ignore invalid characters: only an exact cursor is accepted.
  return writeCursor(place) === cursor ? place : undefined;
}
