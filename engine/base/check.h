/*
 * base/check.h - assertions: for our own bugs only. Bytes from disk, Kafka or a caller are checked by code that returns an error.
 *
 * VR_ASSERT is compiled where VR_DEBUG is defined (dev, asan, tsan, fuzz presets). VR_CHECK is always compiled and is for the few
 * places where going on would destroy data.
 */
#ifndef VR_BASE_CHECK_H
#define VR_BASE_CHECK_H

/* Prints what was violated and aborts. */
_Noreturn void vr_check_failed(const char *file, int line, const char *expression);

#define VR_CHECK(expression) ((expression) ? (void)0 : vr_check_failed(__FILE__, __LINE__, #expression))

#ifdef VR_DEBUG
#define VR_ASSERT(expression) VR_CHECK(expression)
#else
#define VR_ASSERT(expression) ((void)sizeof((expression) ? 1 : 0))
#endif

#endif
