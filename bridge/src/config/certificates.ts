import { X509Certificate } from 'node:crypto';
import { z } from 'zod';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Certificates of certificate authorities: one or more, PEM (RFC 7468). */
export const certificates = z.string().refine(isCertificates, { error: 'must hold certificates in PEM' });

function isCertificates(text: string): boolean {
  const found = text.match(CERTIFICATE) ?? [];
  try {
    for (const certificate of found) new X509Certificate(certificate);
  } catch {
    return false;
  }
  return found.length > 0;
}
