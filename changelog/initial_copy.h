/*
 * changelog/initial_copy.h - ships a whole store into an empty log, so that the log holds what was there before it began.
 */
#ifndef VCL_INITIAL_COPY_H
#define VCL_INITIAL_COPY_H

#include "ship.h"

/*
 * Ships every live pair as of now in groups flagged as base, all but the last. Changes after position.acknowledged follow from the
 * feed afterwards: those that the copy held already come twice, which ends the same. Threads: the opener.
 */
varve_status vcl_copy_store(varve_changelog *changelog, varve_error *err);

#endif
