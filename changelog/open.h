/*
 * changelog/open.h - the public functions on any transport and clock: what tests call with the simulated broker.
 *
 * Memory: the transport is theirs from the call on, also when it fails; they close it.
 */
#ifndef VCL_OPEN_H
#define VCL_OPEN_H

#include "clock.h"
#include "transport.h"

varve_status vcl_changelog_open_on(vcl_transport *transport, varve_store *store, const varve_changelog_options *options,
                                   vcl_clock clock, varve_changelog **changelog, varve_error *err);

varve_status vcl_changelog_restore_on(vcl_transport *transport, varve_store *store, const varve_changelog_options *options,
                                      vcl_clock clock, varve_restore_progress *result, varve_error *err);

varve_status vcl_changelog_verify_on(vcl_transport *transport, varve_store *store, const varve_changelog_options *options,
                                     vcl_clock clock, const char *scratch, varve_difference_fn visit, void *context,
                                     varve_verify_result *result, varve_error *err);

#endif
