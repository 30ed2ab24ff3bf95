#version 330
// Averages the supersampled pixels; highlights are limited first so that one spark does not light a whole pixel.
uniform sampler2D colour; uniform sampler2D irradiance; uniform int factor;
layout(location = 0) out vec4 out_colour; layout(location = 1) out vec4 out_irradiance;
void main() {
    out_colour = out_irradiance = vec4(0);
    ivec2 origin = ivec2(gl_FragCoord.xy) * factor;
    for (int y = 0; y < factor; y++) for (int x = 0; x < factor; x++) {
        vec4 c = texelFetch(colour, origin + ivec2(x, y), 0);
        out_colour += vec4(min(c.rgb, 4.), c.a);
        out_irradiance += texelFetch(irradiance, origin + ivec2(x, y), 0);
    }
    out_colour /= float(factor * factor); out_irradiance /= float(factor * factor);
}
