/*
 * base/diag.h - diagnostics: one line at a time to the caller's function, nowhere else.
 */
#ifndef VR_BASE_DIAG_H
#define VR_BASE_DIAG_H

/* line may be NULL: nothing is said. Any thread. */
typedef struct vr_diag {
    void (*line)(void *context, const char *line);
    void *context;
} vr_diag;

void vr_diag_say(const vr_diag *diag, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
